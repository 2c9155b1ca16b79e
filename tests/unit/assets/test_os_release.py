import platform

import pytest

from hauberk.assets import os_release as module
from hauberk.host.memory import DictHost, Node

FILES = {
    "/etc/os-release": (
        'PRETTY_NAME="Debian \\"12\\""\nID=debian\nID_LIKE="a b"\nVERSION_ID="12"\n'
        "VERSION_CODENAME=bookworm\n# comment\nBROKEN LINE\n"
    ),
    "/etc/debian_version": "12.11\n",
    "/etc/machine-id": "abc\n",
    "/etc/hostname": "box\n",
    "/etc/apt/apt.conf.d/20auto": 'APT::Periodic::Unattended-Upgrade "1";\n',
    "/bin/sh": b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x03\0\xb7\0",
}


def test_one_row(rows):
    files = {**FILES, "/var/lib/dpkg/status": Node("", mtime_ns=99)}
    (row,) = rows(
        module,
        DictHost(files, kind="root", links={"/etc/localtime": "/usr/share/zoneinfo/Asia/Shanghai"}),
    )
    assert (row.distribution, row.version, row.codename) == ("debian", "12.11", "bookworm")
    assert row.name == 'Debian "12"'
    assert row.family == ["a", "b"]
    assert (row.arch, row.hostname, row.machine_id) == ("aarch64", "box", "abc")
    assert (row.updated_ns, row.automatic_updates, row.restart_required) == (99, True, None)
    assert row.time_zone == "Asia/Shanghai"


def test_restart_is_known_only_when_live(rows):
    waiting = {"/run/reboot-required": "", "/run/reboot-required.pkgs": "linux\nlibc6\nlinux\n"}
    (row,) = rows(module, DictHost({**FILES, **waiting}, kind="live"))
    assert (row.restart_required, row.restart_for) == (True, ["libc6", "linux"])
    (row,) = rows(module, DictHost(FILES, kind="live"))
    assert row.restart_required is False


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({"/etc/apt/apt.conf.d/a": 'APT::Periodic::Unattended-Upgrade "0";\n'}, False),
        ({"/etc/apt/apt.conf.d/a": '// APT::Periodic::Unattended-Upgrade "1";\n'}, False),
        ({"/etc/systemd/system/timers.target.wants/dnf-automatic.timer": ""}, True),
        ({}, None),
    ],
)
def test_automatic_updates(rows, files, answer):
    (row,) = rows(module, DictHost({"/usr/lib/os-release": "ID=x\n", **files}))
    assert row.automatic_updates is answer


def test_no_release_file_is_an_error_not_an_empty_list(collect):
    found, proof = collect(module, DictHost(kind="live"))
    assert (found, proof.outcome) == ([], "error")
    # An image may have none.
    assert collect(module, DictHost(kind="root"))[1].outcome == "ok"


def test_this_machine(live):
    (row,) = live(module)
    known = platform.freedesktop_os_release()
    assert row.distribution == known["ID"]
    assert row.version.startswith(known.get("VERSION_ID", ""))
    assert row.arch == platform.machine()


def test_hostile_input(hostile):
    hostile(module, FILES)
