"""A zip reader for untrusted archives: lists cheaply, reads one entry at a time, bounded.

The standard library's reader makes an object for each entry before anybody can say stop, and
trusts declared sizes. This one keeps only the entries that are asked for, and inflates no more than
it is told to.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_ENTRY = struct.Struct("<4s6H3I5H2I")
MAX_DIRECTORY = 32 * 1024 * 1024
_CHUNK = 1 << 16
_MAX_OFFSET = 1 << 62  # more cannot be sought


class BadZip(ValueError):
    """Not a zip file, damaged, or over a bound."""


class Reader(Protocol):
    """What a zip is read from."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a byte."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""


class Entry(NamedTuple):
    """One file of an archive; sizes as declared, `offset` of its local header."""

    name: str
    method: int
    packed: int
    size: int
    offset: int
    encrypted: bool


class Directory(NamedTuple):
    """The wanted entries, and how many entries of any kind there are."""

    entries: list[Entry]
    total: int


def directory(
    stream: Reader, size: int, wanted: Callable[[str], bool], *, max_entries: int
) -> Directory:
    """Read the central directory.

    Args:
        stream: seekable.
        size: of the archive, bytes.
        wanted: tells by name which entries are returned.
        max_entries: entries of any kind.

    Raises:
        BadZip: no directory, a damaged one, or one over a bound.
    """
    at, length, end = _locate(stream, size)
    if length > MAX_DIRECTORY:
        raise BadZip(f"directory of {length} bytes is larger than {MAX_DIRECTORY}")
    # What was put before the archive (a start script) shifts every offset.
    shift = end - length - at
    if shift < 0:
        raise BadZip("directory lies behind its end")
    stream.seek(at + shift)
    data = stream.read(length)
    entries: list[Entry] = []
    total, pos = 0, 0
    while pos + _ENTRY.size <= len(data):
        fields = _ENTRY.unpack_from(data, pos)
        if fields[0] != b"PK\x01\x02":
            raise BadZip(f"entry {total + 1} has no signature")
        total += 1
        if total > max_entries:
            raise BadZip(f"more than {max_entries} entries")
        name_end = pos + _ENTRY.size + fields[10]
        after = name_end + fields[11] + fields[12]
        if after > len(data):
            raise BadZip(f"entry {total} is cut short")
        name = data[pos + _ENTRY.size : name_end].decode("utf-8", "replace")
        if wanted(name):
            extra = data[name_end : name_end + fields[11]]
            entries.append(_entry(name, fields, extra, shift))
        pos = after
    return Directory(entries, total)


def _entry(name: str, fields: tuple[int, ...], extra: bytes, shift: int) -> Entry:
    flags, method = fields[3], fields[4]
    packed, size, offset = fields[8], fields[9], fields[16]
    # Zip64: the 32-bit fields that are all ones stand in an extra block, in this order.
    if 0xFFFFFFFF in (packed, size, offset):
        values = _zip64(extra)
        size = values.pop(0) if size == 0xFFFFFFFF and values else size
        packed = values.pop(0) if packed == 0xFFFFFFFF and values else packed
        offset = values.pop(0) if offset == 0xFFFFFFFF and values else offset
    return Entry(name, method, packed, size, offset + shift, bool(flags & 1))


def _zip64(extra: bytes) -> list[int]:
    pos = 0
    while pos + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, pos)
        body = extra[pos + 4 : pos + 4 + length]
        if kind == 1:
            return [value for (value,) in struct.iter_unpack("<Q", body[: len(body) // 8 * 8])]
        pos += 4 + length
    return []


def _locate(stream: Reader, size: int) -> tuple[int, int, int]:
    """(declared offset of the directory, its length, where it really ends)."""
    tail_start = max(0, size - 65536 - 22)
    stream.seek(tail_start)
    tail = stream.read(65536 + 22)
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        raise BadZip("no end of a zip directory")
    length, offset = struct.unpack_from("<2I", tail, at + 12)
    end = tail_start + at
    # Whoever wrote a 64-bit record means it, also where the 32-bit fields would do.
    if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR_64:
        (where,) = struct.unpack_from("<Q", tail, at - 12)
        if where > size - 56:
            raise BadZip("64-bit directory lies outside of the file")
        stream.seek(where)
        record = stream.read(56)
        if len(record) < 56 or record[:4] != _END_64:
            raise BadZip("no 64-bit end of the directory")
        length, offset = struct.unpack_from("<2Q", record, 40)
        end = where
    if length > end or offset > end:
        raise BadZip("directory lies outside of the file")
    return offset, length, end


def data_start(stream: Reader, entry: Entry) -> int:
    """Where the packed bytes of `entry` begin. Raises BadZip."""
    if entry.offset >= _MAX_OFFSET:
        raise BadZip(f"{entry.name}: lies outside of the file")
    stream.seek(entry.offset)
    local = stream.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise BadZip(f"{entry.name}: no local header")
    lengths: tuple[int, int] = struct.unpack_from("<2H", local, 26)
    return entry.offset + 30 + sum(lengths)


def read(stream: Reader, entry: Entry, limit: int) -> bytes:
    """The unpacked bytes of `entry`, whatever it declares at most `limit`.

    Raises:
        BadZip: encrypted, packed in an unknown way, damaged, or larger than `limit`.
    """
    if entry.encrypted:
        raise BadZip(f"{entry.name}: encrypted")
    if entry.method not in (0, 8):
        raise BadZip(f"{entry.name}: packing method {entry.method} is not known")
    stream.seek(data_start(stream, entry))
    if entry.method == 0:
        if entry.packed > limit:
            raise BadZip(f"{entry.name}: larger than {limit} bytes")
        data = stream.read(entry.packed)
        if len(data) < entry.packed:
            raise BadZip(f"{entry.name}: cut short")
        return data
    return _inflate(stream, entry, limit)


def _inflate(stream: Reader, entry: Entry, limit: int) -> bytes:
    unpack = zlib.decompressobj(-15)
    out = io.BytesIO()  # gives its bytes without a copy
    room = limit
    left = entry.packed
    try:
        while left > 0 and not unpack.eof:
            packed = stream.read(min(_CHUNK, left))
            if not packed:
                break
            left -= len(packed)
            # What max_length holds back is unpacked before more is read.
            while packed:
                part = unpack.decompress(packed, room + 1)
                room -= out.write(part)
                if room < 0:
                    raise BadZip(f"{entry.name}: larger than {limit} bytes")
                packed = unpack.unconsumed_tail
    except zlib.error as error:
        raise BadZip(f"{entry.name}: damaged: {error}") from error
    if not unpack.eof:
        raise BadZip(f"{entry.name}: cut short")
    return out.getvalue()


class Window:
    """A read-only, seekable part of another stream: a stored archive inside an archive."""

    def __init__(self, stream: Reader, start: int, size: int) -> None:
        self._stream = stream
        self._start = start
        self._size = size
        self._at = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Only from the start."""
        if whence:
            raise ValueError("seek from the start")
        self._at = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        """At most what is left of the part."""
        left = max(0, self._size - self._at)
        size = left if size < 0 else min(size, left)
        self._stream.seek(self._start + self._at)
        data = self._stream.read(size)
        self._at += len(data)
        return data
