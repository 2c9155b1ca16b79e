"""software.unowned_binary: what no package put there, and nothing else."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import software_unowned_binary as module
from hauberk.assets.software_unowned_binary import (
    COLLECTOR,
    UnownedBinary,
    classify,
    collect,
    elf_interpreter,
)
from hauberk.errors import HostError
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node
from hauberk.ports import Notes
from hauberk.schema.asset import columns_of

LOADER = b"/lib64/ld-linux-x86-64.so.2\0"


def elf(kind=3, *, loader=LOADER, machine=62, wide=True, big=False):
    """The head of an ELF file with one program header."""
    order = ">" if big else "<"
    ident = b"\x7fELF" + bytes([2 if wide else 1, 2 if big else 1, 1]) + b"\0" * 9
    at = 64 if wide else 52
    size = 56 if wide else 32
    type_ = 3 if loader else 1
    if wide:
        head = struct.pack(
            f"{order}2HIQQQIHHHHHH", kind, machine, 1, 0, at, 0, 0, 64, size, 1, 0, 0, 0
        )
        segment = struct.pack(f"{order}IIQQQQQQ", type_, 4, at + size, 0, 0, len(loader), 0, 1)
    else:
        head = struct.pack(
            f"{order}2HIIIIIHHHHHH", kind, machine, 1, 0, at, 0, 0, 52, size, 1, 0, 0, 0
        )
        segment = struct.pack(f"{order}8I", type_, at + size, 0, 0, len(loader), 0, 4, 1)
    return ident + head + segment + loader + b"\0" * 32


def program(data=None, mode=0o755, **kwargs):
    return Node(elf() if data is None else data, mode=mode, **kwargs)


def run(files, **kwargs):
    notes = Notes()
    return {r.path: r for r in collect(DictHost(files, **kwargs), notes)}, notes.problems


def test_it_is_declared_as_an_asset():
    assert COLLECTOR.struct is UnownedBinary
    assert {c.name for c in columns_of(UnownedBinary)} >= {"path", "sha256", "privileged"}


def test_owned_files_are_not_told():
    rows, problems = run(
        {
            "/usr/bin/ls": program(),
            "/usr/bin/miner": program(mtime_ns=5, uid=33),
            "/var/lib/dpkg/status": "Package: coreutils\nVersion: 1\nArchitecture: amd64\n",
            "/var/lib/dpkg/info/coreutils.list": "/bin/ls\n",
        },
        links={"/bin": "usr/bin"},
    )
    assert not problems
    assert list(rows) == ["/usr/bin/miner"]
    row = rows["/usr/bin/miner"]
    assert (row.kind, row.machine, row.static, row.mode) == ("program", "x86_64", False, "0755")
    assert row.sha256 == hashlib.sha256(elf()).hexdigest()
    assert (row.uid, row.modified_ns, row.interpreter) == (33, 5, LOADER[:-1].decode())


def test_what_counts_and_what_does_not():
    rows, _ = run(
        {
            "/opt/static": program(elf(2, loader=b"")),
            "/opt/suid": program(mode=0o4755),
            "/opt/open": program(mode=0o777),
            "/opt/not-executable": program(mode=0o644),
            "/opt/data": program(b"plain text"),
            "/opt/object.o": program(elf(1)),
            "/opt/core": program(elf(4)),
            "/opt/empty": program(b""),
            "/opt/lib/x.so": program(elf(loader=b"")),
            "/usr/lib/evil.so.1": program(elf(loader=b""), mode=0o644),
            "/usr/lib/x86_64-linux-gnu/evil.so": program(elf(loader=b""), mode=0o644),
            "/usr/lib/python3/dist-packages/a/b.so": program(elf(loader=b"")),
            "/usr/local/bin/script": program(b"#!/bin/sh -e\nid\n"),
            "/srv/app/run.sh": program(b"#!/bin/sh\n"),
            "/var/lib/docker/overlay2/x/bin/a": program(),
        }
    )
    assert {path: row.kind for path, row in rows.items()} == {
        "/opt/static": "program",
        "/opt/suid": "program",
        "/opt/open": "program",
        "/usr/lib/evil.so.1": "library",
        "/usr/lib/x86_64-linux-gnu/evil.so": "library",
        "/usr/local/bin/script": "script",
    }
    assert rows["/opt/static"].static is True
    assert rows["/opt/suid"].privileged
    assert rows["/opt/open"].writable
    assert rows["/usr/local/bin/script"].interpreter == "/bin/sh -e"


def test_an_unreadable_package_database_is_an_error_not_a_flood():
    with pytest.raises(HostError):
        run(
            {"/usr/bin/ls": program(), "/var/lib/dpkg/status": "Package: a\n"},
            denied=["/var/lib/dpkg/status"],
        )


def test_without_any_database_everything_is_unowned():
    assert list(run({"/app": program()})[0]) == ["/app"]


def test_unreadable_files_are_told():
    rows, problems = run({"/a": program(), "/b": program()}, denied=["/a"])
    assert list(rows) == ["/b"]
    assert problems[0].where == "/a"


def test_bounds_are_told(monkeypatch):
    monkeypatch.setattr(module, "MAX_HASHED", len(elf()))
    rows, problems = run({"/a": program(), "/b": program()})
    assert [bool(r.sha256) for r in rows.values()] == [True, False]
    assert "not hashed" in problems[0].what
    monkeypatch.setattr(module, "MAX_ROWS", 1)
    rows, problems = run({"/a": program(), "/b": program()})
    assert len(rows) == 1
    assert "more than 1 unowned" in problems[-1].what


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("big", [True, False])
def test_both_widths_and_byte_orders(wide, big):
    head = elf(2, machine=20, wide=wide, big=big)
    assert elf_interpreter(head) == LOADER[:-1].decode()
    assert classify("/x", head)[:2] == ("program", "powerpc")
    assert elf_interpreter(elf(loader=b"", wide=wide, big=big)) == ""


def test_truncation_anywhere_is_classified():
    for end in range(len(elf())):
        found = classify("/x", elf()[:end])
        assert found is None or found[2] in (None, False, True)
    assert classify("/x", elf()[:70])[2] is None


@given(st.binary(max_size=200))
def test_any_bytes_are_classified(data):
    classify("/tmp/x", data)
    classify("/tmp/x", b"\x7fELF" + data)


def test_this_machine_s_own_shell_is_owned_and_dynamic():
    head = LiveHost().head("/bin/sh", 4096)
    kind, _, static, loader = classify("/opt/sh", head)
    assert (kind, static) == ("program", False)
    assert "ld-linux" in loader


def test_one_user_cannot_use_up_what_is_meant_for_all(monkeypatch):
    monkeypatch.setattr(module, "MAX_USER_ROWS", 3)
    monkeypatch.setattr(module, "MAX_USER_HASHED", 2 * len(elf()))
    many = {f"/home/eve/{n}": program(uid=1000) for n in range(9)}
    found, problems = run({**many, "/usr/local/bin/evil": program()})
    assert {p: bool(r.sha256) for p, r in found.items()} == {
        "/home/eve/0": True,
        "/home/eve/1": True,
        "/home/eve/2": False,
        "/usr/local/bin/evil": True,
    }
    assert ["uid 1000" in p.what for p in problems] == [True, True]


def test_program_headers_behind_everything_hide_nothing() -> None:
    """One such file stopped the whole collector, so that nothing else was told either."""
    head = b"\x7fELF\x02\x01" + b"\0" * 26 + b"\xff" * 8 + b"\0" * 14 + b"\x38\0\x01\0" + b"\0" * 60
    assert elf_interpreter(head) is None
