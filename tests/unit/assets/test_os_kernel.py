import os

import pytest

from hauberk.assets import os_kernel as module
from hauberk.host.memory import DictHost

FILES = {
    "/proc/sys/kernel/osrelease": "6.1.0-1\n",
    "/proc/version": "Linux version 6.1.0-1 (gcc)\n",
    "/proc/cmdline": 'root=/dev/sda1 console=tty0 console=ttyS0 quiet dyndbg="a b" luks.key=abc api_token=s3\n',
    "/proc/sys/kernel/tainted": "4097\n",
    "/proc/sys/kernel/random/boot_id": "b-1\n",
    "/proc/sys/kernel/randomize_va_space": "2\n",
    "/proc/sys/net/ipv4/conf/all/rp_filter": "1\n",
    "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
    "/sys/kernel/security/lsm": "lockdown,capability,apparmor",
    "/sys/fs/selinux/enforce": "1",
    "/lib/modules/6.1.0-1/modules.dep": "",
    "/lib/modules/6.1.0-2/kernel/": "",
    "/usr/lib/sysctl.d/50-a.conf": "kernel.randomize_va_space = 1\nkernel.sysrq=1\n",
    "/etc/sysctl.d/50-a.conf": "-kernel/sysrq = 0\n",
    "/etc/sysctl.conf": "# kernel.sysrq=9\nkernel.unknown=1\nvm.mmap_min_addr=65536\n",
}


def table(found):
    return {(r.kind, r.name): r.value for r in found}


def test_running_and_configured(rows):
    facts = table(rows(module, DictHost(FILES, kind="live")))
    assert facts["version", "release"] == "6.1.0-1"
    assert facts["boot", "boot_id"] == "b-1"
    assert facts["cmdline", "console"] == "tty0 ttyS0"
    assert facts["cmdline", "dyndbg"] == "a b"
    assert facts["cmdline", "quiet"] == ""
    assert facts["cmdline", "api_token"] == facts["cmdline", "luks.key"] == "(hidden)"
    assert facts["sysctl", "kernel.randomize_va_space"] == "2"
    assert facts["sysctl", "net.ipv4.conf.all.rp_filter"] == "1"
    assert facts["taint", "P"] == "proprietary module"
    assert facts["taint", "O"] == "out-of-tree module"
    assert facts["lockdown", "lockdown"] == "integrity"
    assert facts["lsm", "apparmor"] == "active"
    assert facts["lsm", "selinux_mode"] == "enforcing"
    assert {n for k, n in facts if k == "installed"} == {"6.1.0-1", "6.1.0-2"}
    # A file of /etc replaces its namesake of /usr/lib.
    assert {n: v for (k, n), v in facts.items() if k == "sysctl_configured"} == {
        "kernel.sysrq": "0",
        "vm.mmap_min_addr": "65536",
    }


def test_of_a_root_folder_what_is_installed_counts(rows, collect):
    files = {p: t for p, t in FILES.items() if p.startswith(("/lib", "/etc"))}
    kinds = {r.kind for r in rows(module, DictHost(files, kind="root"))}
    assert kinds == {"installed", "sysctl_configured"}
    assert collect(module, DictHost(kind="root"))[1].outcome == "not_applicable"


def test_an_unmounted_securityfs_is_said(collect):
    files = {p: t for p, t in FILES.items() if "security" not in p}
    _, proof = collect(module, DictHost(files, kind="live"))
    assert proof.outcome == "partial"
    assert "securityfs" in proof.problems[0].what


@pytest.mark.parametrize("bad", ["", "x", "1e3", "²"])
def test_taint_that_is_no_number(bad):
    with pytest.raises(ValueError, match=r"invalid literal|int"):
        module.parse_taint(bad)


def test_unknown_taint_bits_are_shown():
    assert module.parse_taint(str(1 << 40)) == [("bit 40", "unknown taint")]
    assert module.parse_taint("0") == []


def test_this_machine(live):
    facts = table(live(module))
    assert facts["version", "release"] == os.uname().release
    with open("/proc/sys/kernel/tainted") as file:
        assert facts["taint", "tainted"] == file.read().strip()
    with open("/proc/cmdline") as file:
        words = {w.partition("=")[0] for w in file.read().replace('"', "").split()}
    assert {n for k, n in facts if k == "cmdline"} <= words


def test_hostile_input(hostile):
    hostile(module, FILES)
