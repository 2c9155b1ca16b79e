"""Versions out of executables: strings that a program carries, and Go's build information."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

from . import _config

SEARCH_LIMIT = 48 * 1024 * 1024
_CHUNK = 1024 * 1024
_OVERLAP = 256
_SECTIONS_LIMIT = 4096
_GO_MAGIC = b"\xff Go buildinf:"


def find(
    host: Host,
    path: str,
    pattern: re.Pattern[bytes],
    notes: Notes,
    limit: int = SEARCH_LIMIT,
    near: bytes = b"",
) -> str:
    """The first group that took part in the first match within `limit` bytes, or "".

    Matches are at most 256 bytes long. With `near`, only 128 bytes before and after each
    occurrence of these bytes are searched: a pattern without a leading literal costs 20 times as
    much as looking for one.
    """
    try:
        with host.open(_config.inside(host, path)) as stream:
            return _search(stream, pattern, limit, near)
    except PathMissing:
        return ""
    except (HostError, OSError) as error:
        notes.add(path, error)
        return ""


def _search(stream: BinaryIO, pattern: re.Pattern[bytes], limit: int, near: bytes) -> str:
    tail = b""
    while limit > 0 and (part := stream.read(min(_CHUNK, limit))):
        limit -= len(part)
        if (hit := _match(tail + part, pattern, near)) is not None:
            return from_bytes(next((g for g in hit.groups() if g), b""))
        tail = part[-_OVERLAP:]
    return ""


def _match(data: bytes, pattern: re.Pattern[bytes], near: bytes) -> re.Match[bytes] | None:
    if not near:
        return pattern.search(data)
    at = data.find(near)
    while at >= 0:
        hit = pattern.search(data, max(0, at - _OVERLAP // 2), at + _OVERLAP // 2)
        if hit is not None:
            return hit
        # On from behind the window: occurrences side by side must not be searched again and again.
        at = data.find(near, at + _OVERLAP // 2)
    return None


def go_version(host: Host, path: str, notes: Notes) -> str | None:
    """The Go release that built the ELF file ("1.22.3"), "" when unsaid; None: not built by Go."""
    try:
        with host.open(_config.inside(host, path)) as stream:
            return _go_version(stream)
    except PathMissing:
        return None
    except (HostError, OSError) as error:
        notes.add(path, error)
        return None


def _go_version(stream: BinaryIO) -> str | None:
    head = stream.read(64)
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2 or head[5] != 1:
        return None
    (table,) = struct.unpack_from("<Q", head, 40)
    size, count, names_at = struct.unpack_from("<HHH", head, 58)
    if size != 64 or count > _SECTIONS_LIMIT or names_at >= count:
        return None
    sections = [struct.unpack("<IIQQQQIIQQ", raw) for raw in _records(stream, table, 64, count)]
    if names_at >= len(sections):
        return None
    strings = _at(stream, sections[names_at][4], min(sections[names_at][5], 1 << 20))
    for section in sections:
        name = strings[section[0] : section[0] + 32].split(b"\0", 1)[0]
        if name == b".go.buildinfo":
            return _build_info(_at(stream, section[4], 512))
    return None


def _at(stream: BinaryIO, offset: int, size: int) -> bytes:
    if offset >= 1 << 62:
        return b""
    stream.seek(offset)
    return stream.read(size)


def _records(stream: BinaryIO, offset: int, size: int, count: int) -> list[bytes]:
    raw = _at(stream, offset, size * count)
    return [raw[i : i + size] for i in range(0, len(raw) - size + 1, size)]


def _build_info(raw: bytes) -> str | None:
    if not raw.startswith(_GO_MAGIC) or len(raw) < 33:
        return None
    if not raw[15] & 2:
        return ""  # before 1.18 the text lies behind pointers
    length = raw[32]
    text = raw[33 : 33 + length]
    if length >= 0x80 or not text.startswith(b"go"):
        return ""
    return from_bytes(text[2:]).split(" ", 1)[0]


def zip_names(host: Host, path: str, notes: Notes, limit: int = 16 * 1024 * 1024) -> list[str]:
    """Names in a zip archive's directory, which may stand behind a shell script. No content.

    A directory over `limit` bytes, or one that is no directory, gives a note and no names.
    """
    try:
        with host.open(_config.inside(host, path)) as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 66_000))
            tail = stream.read(66_000)
            at = tail.rfind(b"PK\x05\x06")
            if at < 0 or len(tail) - at < 22:
                notes.add(path, "not a zip archive: it has no directory")
                return []
            (length,) = struct.unpack_from("<I", tail, at + 12)
            start = size - len(tail) + at - length
            if length > limit or start < 0:
                notes.add(path, f"its directory of {length} bytes does not fit; left out")
                return []
            return _zip_entries(_at(stream, start, length))
    except PathMissing:
        return []
    except (HostError, OSError) as error:
        notes.add(path, error)
        return []


def _zip_entries(raw: bytes) -> list[str]:
    found: list[str] = []
    at = 0
    while raw[at : at + 4] == b"PK\x01\x02" and at + 46 <= len(raw):
        name, extra, comment = struct.unpack_from("<HHH", raw, at + 28)
        found.append(from_bytes(raw[at + 46 : at + 46 + name]))
        at += 46 + name + extra + comment
    return found
