"""What Go and Rust compilers write into programs: the modules they are made of."""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple, Protocol

import msgspec

MAX_SECTIONS = 4096
MAX_NAMES = 256 * 1024
MAX_INFO = 8 * 1024 * 1024
MAX_MODULES = 20_000
_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE = 2
_SENTINEL = 16


class Reader(Protocol):
    """What a program is read from."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a byte."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""


class Module(NamedTuple):
    """One module or crate; `version` is "" where the build did not know it."""

    ecosystem: str
    name: str
    version: str


class _Crate(msgspec.Struct):
    name: Any = ""
    version: Any = ""
    kind: Any = "runtime"


class _Crates(msgspec.Struct):
    packages: list[_Crate] = []


_CRATES = msgspec.json.Decoder(_Crates)


def modules(stream: Reader) -> list[Module]:
    """Go modules (with the standard library) and Rust crates (cargo-auditable) of an ELF file.

    Empty for any other file, and for programs built without this information. Total: damaged
    information is the same as none, and all sizes are bounded.
    """
    found = _sections(stream)
    result: list[Module] = []
    if (place := found.get(b".go.buildinfo")) is not None:
        result += parse_go(_at(stream, *place))
    if (place := found.get(b".dep-v0")) is not None:
        result += parse_rust(_at(stream, *place))
    return result[:MAX_MODULES]


def _at(stream: Reader, offset: int, size: int) -> bytes:
    if size > MAX_INFO:
        return b""
    stream.seek(offset)
    return stream.read(size)


def _sections(stream: Reader) -> dict[bytes, tuple[int, int]]:
    """Section name -> (offset, size)."""
    stream.seek(0)
    head = stream.read(64)
    if len(head) < 64 or head[:4] != b"\x7fELF":
        return {}
    wide, order = head[4] == 2, ">" if head[5] == 2 else "<"
    (start,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 40 if wide else 32)
    width, count, names_at = struct.unpack_from(f"{order}3H", head, 58 if wide else 46)
    entry = struct.Struct(f"{order}II3Q" if wide else f"{order}II3I")
    # name, type, (flags, address, offset), size stands behind
    size_at, size_form = (32, f"{order}Q") if wide else (20, f"{order}I")
    if not count or count > MAX_SECTIONS or width < size_at + 8 or start >= 1 << 62:
        return {}
    stream.seek(start)
    table = stream.read(width * count)
    if len(table) < width * count or names_at >= count:
        return {}
    places = []
    for at in range(0, len(table), width):
        name, _, _, _, offset = entry.unpack_from(table, at)
        (size,) = struct.unpack_from(size_form, table, at + size_at)
        places.append((name, offset, size))
    _, offset, size = places[names_at]
    if size > MAX_NAMES or offset >= 1 << 62:
        return {}
    stream.seek(offset)
    names = stream.read(size)
    return {
        names[name : names.find(b"\0", name)]: (offset, size)
        for name, offset, size in places
        if name < len(names) and offset < 1 << 62
    }


def parse_go(data: bytes) -> list[Module]:
    """Section `.go.buildinfo` of Go 1.18 or later; older ones point elsewhere and give nothing."""
    if len(data) < 32 or not data.startswith(_GO_MAGIC) or not data[15] & _GO_INLINE:
        return []
    compiler, at = _go_string(data, 32)
    info, _ = _go_string(data, at)
    found: list[Module] = []
    version = compiler.split(b" ", 1)[0].decode("utf-8", "replace").removeprefix("go")
    if version:
        found.append(Module("golang", "stdlib", version))
    if len(info) > 2 * _SENTINEL:
        info = info[_SENTINEL:-_SENTINEL]
    for line in info.decode("utf-8", "replace").split("\n"):
        parts = line.split("\t")
        if len(parts) < 3 or not parts[1] or len(found) >= MAX_MODULES:
            continue
        if parts[0] in ("mod", "dep"):
            found.append(Module("golang", parts[1], _go_version(parts[2])))
        elif parts[0] == "=>" and len(found) > 1:  # replaces the one before
            found[-1] = Module("golang", parts[1], _go_version(parts[2]))
    return found


def _go_version(text: str) -> str:
    return "" if text == "(devel)" else text


def _go_string(data: bytes, at: int) -> tuple[bytes, int]:
    """A length as a varint, then so many bytes."""
    length = shift = 0
    while at < len(data) and shift < 35:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = at + length
            return (data[at:end], end) if end <= len(data) else (b"", len(data))
    return b"", len(data)


def parse_rust(data: bytes) -> list[Module]:
    """Section `.dep-v0`: JSON packed by zlib. Crates that only built the program are left out."""
    unpack = zlib.decompressobj()
    try:
        crates = _CRATES.decode(unpack.decompress(data, MAX_INFO)).packages
    except (zlib.error, ValueError, RecursionError):
        return []
    return [
        Module("cargo", crate.name, crate.version)
        for crate in crates[:MAX_MODULES]
        if isinstance(crate.name, str)
        and isinstance(crate.version, str)
        and crate.name
        and crate.kind != "build"
    ]
