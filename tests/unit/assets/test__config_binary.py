import io
import re
import struct
import zipfile

import pytest

from hauberk.assets import _config_binary
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


def elf(info, *, name=b".go.buildinfo"):
    """A 64-bit little-endian ELF with one section that holds `info`."""
    names = b"\0" + name + b"\0.shstrtab\0"
    at = 64
    body = info + names
    table = at + len(body)
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", head, 40, table)
    struct.pack_into("<HHH", head, 58, 64, 3, 2)

    def section(name_at, offset, size):
        return struct.pack("<IIQQQQIIQQ", name_at, 1, 0, 0, offset, size, 0, 0, 0, 0)

    sections = (
        section(0, 0, 0)
        + section(1, at, len(info))
        + section(len(name) + 2, at + len(info), len(names))
    )
    return bytes(head) + body + sections


def build_info(text, flags=2):
    return b"\xff Go buildinf:" + bytes([8, flags]) + b"\0" * 16 + bytes([len(text)]) + text


def go(data):
    notes = Notes()
    found = _config_binary.go_version(DictHost({"/x": data}), "/x", notes)
    return found, notes.problems


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (elf(build_info(b"go1.22.3")), "1.22.3"),
        (elf(build_info(b"go1.21.0 X:boringcrypto")), "1.21.0"),
        (elf(build_info(b"go1.9", flags=0)), ""),
        (elf(build_info(b"nonsense")), ""),
        (elf(b"short"), None),
        (elf(build_info(b"go1.22.3"), name=b".text"), None),
        (b"", None),
        (b"#!/bin/sh\n", None),
        (elf(build_info(b"go1.22.3"))[:80], None),
        (b"\x7fELF\x02\x01" + b"\xff" * 200, None),
        (
            b"\x7fELF\x02\x01"
            + b"\0" * 34
            + b"\xff" * 8
            + b"\0" * 10
            + struct.pack("<HHH", 64, 4000, 1),
            None,
        ),
    ],
)
def test_go_version(data, version):
    assert go(data) == (version, [])


def test_find_over_chunk_borders(monkeypatch):
    monkeypatch.setattr(_config_binary, "_CHUNK", 1000)
    host = DictHost({"/x": b"a" * 995 + b"ver=1.2.3;" + b"b" * 5000})
    notes = Notes()
    assert _config_binary.find(host, "/x", re.compile(rb"ver=([\d.]+);"), notes) == "1.2.3"
    assert _config_binary.find(host, "/x", re.compile(rb"(zz)|ver=([\d.]+);"), notes) == "1.2.3"
    assert _config_binary.find(host, "/x", re.compile(rb"ver=([\d.]+);"), notes, limit=900) == ""
    assert _config_binary.find(host, "/absent", re.compile(rb"(x)"), notes) == ""
    assert notes.problems == []


def test_find_near(monkeypatch):
    monkeypatch.setattr(_config_binary, "_CHUNK", 1000)
    pattern = re.compile(rb"(\d\.\d)")
    host = DictHost(
        {"/x": b"1.1" + b"a" * 950 + b"-X" + b"b" * 300 + b"2.2-X", "/y": b"1.1" + b"-X" * 3000}
    )
    assert _config_binary.find(host, "/x", pattern, Notes(), near=b"-X") == "2.2"
    assert _config_binary.find(host, "/x", pattern, Notes(), near=b"-Y") == ""
    assert _config_binary.find(host, "/y", pattern, Notes(), near=b"-X") == "1.1"


def test_find_notes_refusal():
    notes = Notes()
    host = DictHost({"/x": ""}, denied=["/x"])
    assert _config_binary.find(host, "/x", re.compile(rb"(x)"), notes) == ""
    assert _config_binary.go_version(host, "/x", notes) is None
    assert _config_binary.zip_names(host, "/x", notes) == []
    assert [p.where for p in notes.problems] == ["/x"] * 3


def archive(*names, lead=b""):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return lead + data.getvalue()


def test_zip_names_also_behind_a_script():
    for lead in (b"", b"#!/bin/bash\nexec java -jar $0\n" * 10):
        host = DictHost({"/a.jar": archive("a/b", "BOOT-INF/é", lead=lead)})
        assert _config_binary.zip_names(host, "/a.jar", Notes()) == ["a/b", "BOOT-INF/é"]


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x05\x06", b"\0" * 100_000, archive("a")[:-4], archive("a", "b")[5:],
     b"PK\x05\x06" + b"\0" * 8 + b"\xff" * 10],
)  # fmt: skip
def test_hostile_archives(data):
    notes = Notes()
    names = _config_binary.zip_names(DictHost({"/a": data}), "/a", notes)
    assert names in ([], ["b"], ["a", "b"])
    assert len(notes.problems) <= 1


def test_directory_over_the_limit_is_noted():
    notes = Notes()
    host = DictHost({"/a": archive(*(f"n{i}" for i in range(50)))})
    assert _config_binary.zip_names(host, "/a", notes, limit=100) == []
    assert len(notes.problems) == 1
