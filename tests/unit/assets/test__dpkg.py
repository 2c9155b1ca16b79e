"""The dpkg database: ordinary, distroless, damaged and hostile."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import _dpkg
from hauberk.errors import HostError, PathDenied, PathMissing
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

STATUS = b"""Package: libc6
Status: install ok installed
Priority: optional
Installed-Size: 12986
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Source: glibc (2.36-9)
Version: 2.36-9+deb12u4
Description: GNU C Library
 Package: not-a-package
 .
 Version: 0

Package: adduser
Status: hold ok installed
Architecture: all
Version: 3.134
Description: add users

Package: old-config
Status: deinstall ok config-files
Architecture: all
Version: 1.0

Package: never
Status: purge ok not-installed
Architecture: amd64

Package: half
Status: install reinstreq half-installed
Architecture: amd64
Version: 2:1.0~rc1-1
"""


def test_stanzas_become_packages():
    found = {p.name: p for p in _dpkg.parse_status(STATUS)}
    assert list(found) == ["libc6", "adduser", "old-config", "half"]
    libc = found["libc6"]
    assert (libc.source, libc.source_version) == ("glibc", "2.36-9")
    assert libc.version == "2.36-9+deb12u4"
    assert libc.size == 12986 * 1024
    assert found["adduser"].source == "adduser"
    assert found["adduser"].source_version == "3.134"
    assert found["adduser"].want == "hold"
    assert found["old-config"].state == "config-files"
    assert found["half"].version == "2:1.0~rc1-1"


def test_a_continuation_line_is_no_field():
    assert "not-a-package" not in {p.name for p in _dpkg.parse_status(STATUS)}


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b"Package:", []),
        (b"Version: 1\n\nStatus: install ok installed\n", []),
        (b"Package: a\nStatus: install\nVersion: 1\n", []),
        (b"Package: a\nVersion: 1", ["a"]),
        (b"Package: a\r\nVersion: 1\r\n\r\nPackage: b\r\nVersion: 2\r\n", ["a", "b"]),
        (b"Package: a\nPackage: b\nVersion: 1\n", ["a"]),
        (b"Package: \xff\xfe\nVersion: 1\n", ["\U0010ffff\U0010fffe"]),
    ],
)
def test_odd_stanzas(data, names):
    assert [p.name for p in _dpkg.parse_status(data)] == names


def test_truncation_anywhere_gives_a_prefix():
    whole = list(_dpkg.parse_status(STATUS))
    for end in range(0, len(STATUS), 7):
        found = list(_dpkg.parse_status(STATUS[:end]))
        assert len(found) <= len(whole)
        assert found[:-1] == whole[: max(0, len(found) - 1)]


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed(data):
    list(_dpkg.parse_status(data))
    _dpkg.parse_diversions(data)


def test_the_number_of_packages_is_bounded(monkeypatch):
    monkeypatch.setattr(_dpkg, "MAX_PACKAGES", 3)
    data = b"\n\n".join(b"Package: p%d\nVersion: 1" % i for i in range(10))
    assert len(list(_dpkg.parse_status(data))) == 3


def test_an_absurd_size_is_unknown():
    data = b"Package: a\nVersion: 1\nInstalled-Size: 99999999999999999999\n"
    assert next(iter(_dpkg.parse_status(data))).size is None


def test_distroless_images_have_a_file_per_package():
    host = DictHost(
        {
            "/var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n",
            "/var/lib/dpkg/status.d/base.md5sums": b"0" * 32 + b"  etc/debian_version\n",
        }
    )
    assert [(p.name, p.state) for p in _dpkg.packages(host, Notes())] == [
        ("base-files", "installed")
    ]


def test_absent_unreadable_and_partly_unreadable_databases_differ():
    with pytest.raises(PathMissing):
        list(_dpkg.packages(DictHost(), Notes()))
    denied = DictHost({"/var/lib/dpkg/status": STATUS}, denied=["/var/lib/dpkg/status"])
    with pytest.raises(PathDenied):
        list(_dpkg.packages(denied, Notes()))
    notes = Notes()
    partly = DictHost(
        {"/var/lib/dpkg/status.d/a": b"Package: a\nVersion: 1", "/var/lib/dpkg/status.d/b": b""},
        denied=["/var/lib/dpkg/status.d/b"],
    )
    assert [p.name for p in _dpkg.packages(partly, notes)] == ["a"]
    assert notes.problems[0].where == "/var/lib/dpkg/status.d/b"


def test_a_status_file_over_the_limit_is_an_error_not_an_empty_list(monkeypatch):
    monkeypatch.setattr(_dpkg, "STATUS_LIMIT", 100)
    with pytest.raises(HostError):
        list(_dpkg.packages(DictHost({"/var/lib/dpkg/status": STATUS}), Notes()))


def test_diversions_are_groups_of_three_lines():
    data = b"/a\n/a.diverted\npkg\n/b\n/b.old\n:\n/c\n"
    assert _dpkg.parse_diversions(data) == [
        ("/a", "/a.diverted", "pkg"),
        ("/b", "/b.old", ":"),
    ]


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg-query on this machine")
def test_the_live_database_equals_dpkg_query():
    form = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${db:Status-Status}\n"
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    notes = Notes()
    ours = [
        f"{p.name}\t{p.version}\t{p.arch}\t{p.source}\t{p.source_version}\t{p.state}"
        for p in _dpkg.packages(LiveHost(), notes)
    ]
    assert not notes.problems
    assert sorted(ours) == sorted(said)
    assert len(said) > 50
