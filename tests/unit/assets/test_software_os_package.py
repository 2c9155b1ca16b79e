"""software.os_package over each package manager, and where several live together."""

import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from hauberk.assets.software_os_package import COLLECTOR, OsPackage, collect, package_key
from hauberk.errors import HostError
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node
from hauberk.ports import Notes
from hauberk.schema.asset import columns_of
from hauberk.schema.taxonomy import SUBCLASSES

RPM = lzma.decompress((Path(__file__).parent / "data/rpmdb.sqlite.xz").read_bytes())
STATUS = """Package: libc6
Status: install ok installed
Installed-Size: 12986
Maintainer: Someone <x@example.org>
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u4

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1:1.0
"""
DEBIAN = {
    "/var/lib/dpkg/status": STATUS,
    "/var/lib/dpkg/info/libc6:amd64.list": Node("/.\n", mtime_ns=1_700_000_000_000_000_000),
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
}
APK = "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nm:M\nI:10\nF:lib\nR:x\n\n"


def run(host):
    notes = Notes()
    return list(collect(host, notes)), notes.problems


def test_it_is_declared_as_an_asset():
    assert COLLECTOR.subclass in SUBCLASSES
    assert {c.name for c in columns_of(OsPackage)} >= {"manager", "name", "version", "purl"}


def test_dpkg_rows():
    (libc, gone), problems = run(DictHost(DEBIAN))
    assert not problems
    assert libc == OsPackage(
        manager="dpkg",
        name="libc6",
        version="2.36-9+deb12u4",
        arch="amd64",
        source="glibc",
        source_version="2.36-9+deb12u4",
        status="installed",
        vendor="Someone <x@example.org>",
        size=12986 * 1024,
        installed_ns=1_700_000_000_000_000_000,
        purl="pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12",
    )
    assert (gone.status, gone.installed_ns) == ("config-files", None)


def test_rpm_rows_and_kernels_side_by_side():
    rows, problems = run(
        DictHost(
            {
                "/usr/lib/sysimage/rpm/rpmdb.sqlite": RPM,
                "/etc/os-release": "ID=rhel\nVERSION_ID=9.3",
            }
        )
    )
    assert not problems
    by_key = {row.key(): row for row in rows}
    assert len(by_key) == 5
    bind = by_key[package_key("rpm", "bind-utils", "x86_64", "32:9.16.23-14.el9_3")]
    assert bind.version == "32:9.16.23-14.el9_3"
    assert (
        bind.purl
        == "pkg:rpm/redhat/bind-utils@9.16.23-14.el9_3?arch=x86_64&distro=rhel-9.3&epoch=32"
    )
    assert (bind.source, bind.source_version) == ("bind-utils", "9.16.23-14.el9_3")
    assert bind.installed_ns == 1795563452 * 10**9
    kernels = {row.instance for row in rows if row.name == "kernel-core"}
    assert kernels == {"5.14.0-362.el9", "5.14.1-427.el9"}
    assert all(row.key() == package_key("rpm", row.name, row.arch, row.version) for row in rows)


def test_apk_rows():
    (row,), problems = run(
        DictHost({"/lib/apk/db/installed": APK, "/etc/os-release": "ID=alpine\nVERSION_ID=3.18.4"})
    )
    assert not problems
    assert row.purl == "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18.4"
    assert (row.license, row.size, row.installed_ns) == ("MIT", 10, None)


def test_no_manager_is_no_rows_and_no_error():
    assert run(DictHost({"/etc/passwd": b""})) == ([], [])


def test_an_unreadable_database_is_an_error_after_the_rows_of_others():
    host = DictHost({**DEBIAN, "/var/lib/rpm/rpmdb.sqlite": b"SQLite format 3\0 damaged"})
    rows = []
    with pytest.raises(HostError, match=r"rpmdb\.sqlite"):
        rows.extend(collect(host, Notes()))
    rows = []
    stream = collect(host, Notes())
    with pytest.raises(HostError):
        for row in stream:
            rows.append(row)
    assert [row.name for row in rows] == ["libc6", "gone"]


def test_a_package_listed_twice_is_told():
    rows, problems = run(DictHost({"/var/lib/dpkg/status": STATUS + "\n" + STATUS}))
    assert len(rows) == 2
    assert "listed twice" in problems[0].what


def test_without_os_release_the_purl_still_stands():
    rows, _ = run(DictHost({"/var/lib/dpkg/status": STATUS}))
    assert rows[0].purl == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64"


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg-query on this machine")
def test_the_live_machine_equals_dpkg_query():
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Architecture} ${Version}\n"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    rows, problems = run(LiveHost())
    assert not problems
    ours = [f"{r.name} {r.arch} {r.version}" for r in rows if r.manager == "dpkg"]
    assert sorted(ours) == sorted(line for line in said if line)
    assert all(r.installed_ns for r in rows if r.status == "installed")
