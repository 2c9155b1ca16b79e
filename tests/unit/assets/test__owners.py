"""File ownership through all three package managers."""

import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from hauberk.assets._owners import find_owners
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

STATUS = """Package: coreutils
Status: install ok installed
Architecture: amd64
Version: 9.1-1

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9

Package: libc6
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 2.36-9

Package: dash
Status: install ok installed
Architecture: amd64
Version: 0.5

Package: perf-wrapper
Status: install ok installed
Architecture: amd64
Version: 6.1
"""
INFO = "/var/lib/dpkg/info"
DPKG = {
    "/var/lib/dpkg/status": STATUS,
    f"{INFO}/coreutils.list": "/.\n/bin\n/bin/ls\n/usr/bin/env\n/usr/bin/pg\n",
    f"{INFO}/libc6:amd64.list": "/lib\n/lib/x86_64-linux-gnu/libc.so.6\n/usr/share/doc/libc6\n",
    f"{INFO}/libc6:i386.list": "/lib/i386-linux-gnu/libc.so.6\n/usr/share/doc/libc6\n",
    f"{INFO}/dash.list": "/usr/bin/dash\n/bin/tool\n/etc/local\n",
    f"{INFO}/perf-wrapper.list": "/usr/bin/pg\n/usr/bin/tool\n",
    "/var/lib/dpkg/diversions": "/usr/bin/pg\n/usr/bin/pg.real\nperf-wrapper\n"
    "/bin/tool\n/bin/tool.dash\nperf-wrapper\n/etc/local\n/etc/local.dist\n:\n",
}
MERGED = {"/bin": "usr/bin", "/lib": "usr/lib"}


def key(name, arch="amd64", manager="dpkg"):
    return f"{manager}\x1f{name}\x1f{arch}\x1f"


def ask(host, *paths):
    notes = Notes()
    found = find_owners(host, notes, paths)
    assert not notes.problems
    return found


def test_either_spelling_of_a_merged_usr_is_answered():
    host = DictHost(DPKG, links=MERGED)
    assert ask(host, "/usr/bin/ls", "/bin/ls", "/bin/env", "/usr/bin/env") == {
        "/usr/bin/ls": key("coreutils"),
        "/bin/ls": key("coreutils"),
        "/bin/env": key("coreutils"),
        "/usr/bin/env": key("coreutils"),
    }


def test_without_a_merged_usr_they_are_two_files():
    host = DictHost({**DPKG, "/bin/": b""})
    assert ask(host, "/usr/bin/ls", "/bin/ls") == {"/bin/ls": key("coreutils")}


def test_architectures_are_told_apart():
    host = DictHost(DPKG, links=MERGED)
    assert ask(host, "/lib/i386-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6") == {
        "/lib/i386-linux-gnu/libc.so.6": key("libc6", "i386"),
        "/usr/lib/x86_64-linux-gnu/libc.so.6": key("libc6", "amd64"),
    }


def test_diversions_are_followed():
    host = DictHost(DPKG, links=MERGED)
    found = ask(
        host,
        "/usr/bin/pg",
        "/usr/bin/pg.real",
        "/usr/bin/tool",
        "/bin/tool.dash",
        "/etc/local",
        "/etc/local.dist",
    )
    assert found == {
        "/usr/bin/pg": key("perf-wrapper"),
        "/usr/bin/pg.real": key("coreutils"),
        "/usr/bin/tool": key("perf-wrapper"),
        "/bin/tool.dash": key("dash"),
        "/etc/local.dist": key("dash"),
    }


def test_unowned_relative_and_no_paths():
    host = DictHost(DPKG, links=MERGED)
    assert ask(host, "/usr/local/bin/x", "ls", "", "[heap]") == {}
    assert ask(host) == {}


def test_a_machine_without_package_databases():
    assert ask(DictHost({"/bin/x": b""}), "/bin/x") == {}


def test_an_unreadable_list_is_a_problem_and_costs_only_its_package():
    host = DictHost(DPKG, links=MERGED, denied=[f"{INFO}/dash.list"])
    notes = Notes()
    found = find_owners(host, notes, ["/usr/bin/dash", "/usr/bin/ls"])
    assert found == {"/usr/bin/ls": key("coreutils")}
    assert [p.where for p in notes.problems] == [f"{INFO}/dash.list"]


def test_distroless_rpm_and_apk():
    rpm = lzma.decompress((Path(__file__).parent / "data/rpmdb.sqlite.xz").read_bytes())
    host = DictHost(
        {
            "/var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 1\nArchitecture: amd64\n",
            "/var/lib/dpkg/status.d/base-files.md5sums": f"{'0' * 32}  etc/debian_version\n",
            "/usr/lib/sysimage/rpm/rpmdb.sqlite": rpm,
            "/lib/apk/db/installed": "P:busybox\nV:1\nA:x86_64\nF:bin\nR:busybox\n\n",
        }
    )
    found = ask(
        host,
        "/etc/debian_version",
        "/usr/bin/httpd-2.4.57",
        "/usr/bin/kernel-core-5.14.1",
        "/bin/busybox",
    )
    assert found == {
        "/etc/debian_version": key("base-files"),
        "/usr/bin/httpd-2.4.57": key("httpd", "x86_64", "rpm"),
        "/usr/bin/kernel-core-5.14.1": key("kernel-core", "x86_64", "rpm") + "5.14.1-427.el9",
        "/bin/busybox": key("busybox", "x86_64", "apk"),
    }


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg-query on this machine")
def test_live_owners_equal_dpkg_search():
    host = LiveHost()
    # dpkg-query only knows listed names, not where a diversion moved them.
    diverted = set(host.read("/var/lib/dpkg/diversions").decode().split("\n"))
    names = [f"/usr/bin/{name}" for name in host.listdir("/usr/bin")[::9]]
    paths = [path for path in names if path not in diverted]
    spelled = [*paths, *(path[4:] for path in paths)]
    done = subprocess.run(
        ["dpkg-query", "-S", *spelled], check=False, capture_output=True, text=True
    )
    said = {}
    for line in done.stdout.splitlines():
        owner, _, path = line.partition(": ")
        if not line.startswith("diversion by") and "," not in owner:
            said[path.removeprefix("/usr")] = owner.partition(":")[0]
    ours = find_owners(host, Notes(), paths)
    assert {p.removeprefix("/usr"): k.split("\x1f")[1] for p, k in ours.items()} == said
    assert len(said) > 20
