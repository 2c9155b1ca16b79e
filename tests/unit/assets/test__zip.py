"""The bounded zip reader."""

import contextlib
import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import _zip


def make(files, *, compress=True, prefix=b"", comment=b"", force64=False):
    out = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            with archive.open(name, "w", force_zip64=force64) as entry:
                entry.write(data)
    return prefix + out.getvalue()


def listing(data, *, max_entries=1000, wanted=lambda _: True):
    return _zip.directory(io.BytesIO(data), len(data), wanted, max_entries=max_entries)


FILES = {"a.txt": b"hello", "dir/b.bin": bytes(range(256)) * 300, "empty": b"", "名.txt": b"x"}


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\nexec java -jar $0\n"])
@pytest.mark.parametrize("force64", [True, False])
def test_entries_are_listed_and_read(compress, prefix, force64):
    data = make(FILES, compress=compress, prefix=prefix, force64=force64, comment=b"a comment")
    found = listing(data)
    assert found.total == 4
    got = {e.name: _zip.read(io.BytesIO(data), e, 1 << 20) for e in found.entries}
    assert got == FILES


def test_only_wanted_entries_are_kept_and_all_are_counted():
    found = listing(make(FILES), wanted=lambda name: name.endswith(".txt"))
    assert [e.name for e in found.entries] == ["a.txt", "名.txt"]
    assert found.total == 4


def test_more_than_65535_entries():
    data = make({f"f{i}": b"" for i in range(65_600)}, compress=False)
    assert listing(data, max_entries=70_000, wanted=lambda n: n == "f65599").total == 65_600
    with pytest.raises(_zip.BadZip, match="more than 1000 entries"):
        listing(data)


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 50, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_refused(data):
    with pytest.raises(_zip.BadZip):
        listing(data)


def test_a_directory_over_the_bound_is_refused_unread(monkeypatch):
    monkeypatch.setattr(_zip, "MAX_DIRECTORY", 50)
    with pytest.raises(_zip.BadZip, match="larger than 50"):
        listing(make(FILES))


@pytest.mark.parametrize("compress", [True, False])
def test_an_entry_over_the_limit_is_refused_whatever_it_declares(compress):
    bomb = bytearray(make({"bomb": b"\0" * 3_000_000}, compress=compress))
    at = bomb.rindex(b"PK\x01\x02")
    struct.pack_into("<I", bomb, at + 24, 5)  # declares five bytes
    (entry,) = listing(bytes(bomb)).entries
    assert entry.size == 5
    with pytest.raises(_zip.BadZip, match="larger than 100000"):
        _zip.read(io.BytesIO(bytes(bomb)), entry, 100_000)


def test_encrypted_unknown_and_cut_entries_are_refused():
    data = bytearray(make({"a": b"hello" * 100}))
    at = data.rindex(b"PK\x01\x02")
    for offset, value, message in ((8, 1, "encrypted"), (10, 99, "method 99")):
        changed = bytearray(data)
        struct.pack_into("<H", changed, at + offset, value)
        (entry,) = listing(bytes(changed)).entries
        with pytest.raises(_zip.BadZip, match=message):
            _zip.read(io.BytesIO(bytes(changed)), entry, 10_000)
    (entry,) = listing(bytes(data)).entries
    with pytest.raises(_zip.BadZip):
        _zip.read(io.BytesIO(bytes(data[:35])), entry, 10_000)


def test_truncation_anywhere_is_a_bad_zip_or_fewer_entries():
    data = make(FILES)
    for end in range(len(data)):
        with pytest.raises(_zip.BadZip):
            listing(data[:end])


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_flipped_byte_never_raises_anything_else(at, value):
    data = bytearray(make(FILES))
    data[at % len(data)] = value
    raw = bytes(data)
    try:
        for entry in listing(raw).entries:
            _zip.read(io.BytesIO(raw), entry, 1 << 20)
    except _zip.BadZip:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_are_a_zip_or_not(data):
    with contextlib.suppress(_zip.BadZip):
        listing(data + b"PK\x05\x06" + data[:18].ljust(18, b"\0"))


def test_a_window_stays_inside():
    window = _zip.Window(io.BytesIO(b"0123456789"), 2, 5)
    assert window.read() == b"23456"
    assert window.read(3) == b""
    window.seek(3)
    assert window.read(10) == b"56"
    window.seek(99)
    assert window.read(1) == b""
    with pytest.raises(ValueError, match="start"):
        window.seek(0, 2)


def test_an_offset_that_no_file_has_is_refused():
    data = make({"a": b"hello"})
    at = data.rindex(b"PK\x01\x02")
    entry = bytearray(data[at : data.rindex(b"PK\x05\x06")])
    struct.pack_into("<I", entry, 42, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, 12)
    entry += struct.pack("<2HQ", 1, 8, 2**64 - 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), at, 0)
    raw = data[:at] + bytes(entry) + end
    (found,) = listing(raw).entries
    assert found.offset == 2**64 - 1
    with pytest.raises(_zip.BadZip, match="outside"):
        _zip.read(io.BytesIO(raw), found, 1000)
