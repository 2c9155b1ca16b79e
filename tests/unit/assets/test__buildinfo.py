"""Modules out of Go and Rust programs: right, damaged and hostile."""

import io
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import _buildinfo
from hauberk.assets._buildinfo import modules, parse_go, parse_rust
from hauberk.assets.software_language_package import collect
from hauberk.host.memory import DictHost, Node
from hauberk.ports import Notes


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def go_info(version="go1.21.5", lines=()):
    info = b"0" * 16 + "\n".join(lines).encode() + b"1" * 16
    head = b"\xff Go buildinf:" + bytes([8, 2]) + b"\0" * 16
    return head + b"".join(varint(len(part)) + part for part in (version.encode(), info))


GO = go_info(
    lines=[
        "path\texample.org/app/cmd",
        "mod\texample.org/app\t(devel)\t",
        "dep\tgithub.com/foo/bar\tv1.2.3\th1:abc=",
        "dep\tgithub.com/old/thing\tv0.1.0",
        "=>\tgithub.com/new/thing\tv0.2.0\th1:def=",
        "build\t-compiler=gc",
    ]
)
RUST = zlib.compress(
    json.dumps(
        {
            "packages": [
                {"name": "serde", "version": "1.0.1", "source": "crates.io"},
                {"name": "cc", "version": "1.1", "kind": "build"},
                {"name": 5, "version": "1"},
            ]
        }
    ).encode()
)


def elf(sections, *, wide=True, big=False):
    """An ELF file with these sections, and its name table."""
    order = ">" if big else "<"
    names, body, places = b"\0", b"", []
    start = 64 if wide else 52
    for name, data in {**sections, b".shstrtab": None}.items():
        at = len(names)
        names += name + b"\0"
        content = names if data is None else data
        places.append((at, start + len(body), len(content)))
        body += content
    form = f"{order}II4Q2I2Q" if wide else f"{order}10I"
    table = struct.pack(form, *[0] * 10)
    for at, offset, size in places:
        table += struct.pack(form, at, 1, 0, 0, offset, size, 0, 0, 1, 0)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 2 if big else 1, 1]) + b"\0" * 9
    head = struct.pack(
        f"{order}2HI3QI6H" if wide else f"{order}2HI3II6H",
        2,
        62,
        1,
        0,
        0,
        start + len(body),
        0,
        start,
        0,
        0,
        struct.calcsize(form),
        len(places) + 1,
        len(places),
    )
    return ident + head + body + table


PROGRAM = elf({b".text": b"\x90" * 40, b".go.buildinfo": GO, b".dep-v0": RUST})
EXPECTED = [
    ("golang", "stdlib", "1.21.5"),
    ("golang", "example.org/app", ""),
    ("golang", "github.com/foo/bar", "v1.2.3"),
    ("golang", "github.com/new/thing", "v0.2.0"),
    ("cargo", "serde", "1.0.1"),
]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("big", [True, False])
def test_modules_of_a_program(wide, big):
    data = elf({b".go.buildinfo": GO, b".dep-v0": RUST}, wide=wide, big=big)
    assert modules(io.BytesIO(data)) == EXPECTED


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n" * 20, elf({}), elf({b".text": b"x"})])
def test_other_files_have_none(data):
    assert modules(io.BytesIO(data)) == []


def test_an_older_go_gives_nothing_rather_than_nonsense():
    assert parse_go(GO[:15] + b"\0" + GO[16:]) == []


def test_truncation_anywhere_is_the_same_as_none_or_less():
    for end in range(0, len(PROGRAM), 3):
        assert set(modules(io.BytesIO(PROGRAM[:end]))) <= set(EXPECTED)
    for end in range(len(GO)):
        assert len(parse_go(GO[:end])) <= 4
    for end in range(len(RUST)):
        assert len(parse_rust(RUST[:end])) <= 1


def test_flipped_bytes_never_raise():
    for at in range(len(PROGRAM)):
        damaged = bytearray(PROGRAM)
        damaged[at] ^= 0xFF
        modules(io.BytesIO(bytes(damaged)))


def test_a_bomb_is_bounded(monkeypatch):
    monkeypatch.setattr(_buildinfo, "MAX_INFO", 1000)
    assert parse_rust(zlib.compress(b" " * 10_000_000)) == []
    huge = elf({b".go.buildinfo": GO + b"\0" * 2000})
    assert modules(io.BytesIO(huge)) == []


def test_counts_are_bounded(monkeypatch):
    monkeypatch.setattr(_buildinfo, "MAX_MODULES", 3)
    assert len(modules(io.BytesIO(PROGRAM))) == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data):
    parse_go(b"\xff Go buildinf:\x08\x02" + b"\0" * 16 + data)
    parse_rust(data)
    modules(io.BytesIO(b"\x7fELF\x02\x01" + data))


def test_they_become_language_packages_of_the_program():
    padded = PROGRAM + b"\0" * 200_000
    host = DictHost(
        {
            "/opt/tool": Node(padded, mode=0o755),
            "/opt/not-executable": Node(padded, mode=0o644),
            "/opt/lib.so": Node(padded, mode=0o755),
            "/opt/small": Node(PROGRAM, mode=0o755),
        }
    )
    notes = Notes()
    rows = list(collect(host, notes))
    assert not notes.problems
    assert {row.path for row in rows} == {"/opt/tool"}
    assert {row.purl for row in rows} == {
        "pkg:golang/stdlib@1.21.5",
        "pkg:golang/example.org/app",
        "pkg:golang/github.com/foo/bar@v1.2.3",
        "pkg:golang/github.com/new/thing@v0.2.0",
        "pkg:cargo/serde@1.0.1",
    }
