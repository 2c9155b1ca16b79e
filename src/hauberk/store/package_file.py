"""Reads what an agent package says of itself, from a file that anybody may have made.

A package is a .tar.xz that begins with `manifest.json`. All of it is unpacked (into nothing) so
that a damaged file is found here and not on a thousand machines; memory is bounded whatever the
file claims.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from hauberk.errors import BadInput
from hauberk.link.wire import UNDECODABLE

MAX_PACKAGE = 256 * 1024 * 1024
# As agents bound them.
MAX_UNPACKED = 512 * 1024 * 1024
MAX_MANIFEST = 16 * 1024 * 1024
MAX_MEMBERS = 20_000
_XZ_MEMORY = 64 * 1024 * 1024
_BLOCK, _CHUNK = 512, 256 * 1024
_SHOWN = 80
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}")
_ARCH = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")


class ManifestFile(msgspec.Struct, frozen=True):
    """A file, or a symbolic link, whose `sha256` is empty."""

    path: str
    sha256: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the server needs of a package's manifest.json; `arch` is the kernel's word."""

    version: str
    sequence: int
    arch: str
    files: list[ManifestFile]


def read_manifest(file: BinaryIO) -> Manifest:
    """Unpack `file` to its end, compare it with its manifest, and give that.

    Raises:
        BadInput: no xz, no tar, cut short, damaged, too large, or not an agent package.
    """
    source = _Unpacked(file)
    manifest: Manifest | None = None
    found: dict[str, str] = {}
    for info in _members(source):
        if manifest is None:
            manifest = _manifest(source, info)
        elif info.name in found:
            raise _bad(f"{info.name[:_SHOWN]!r} comes twice")
        elif info.issym():
            found[info.name] = ""
        elif info.isreg():
            found[info.name] = source.digest(info.size)
        source.skip(-info.size % _BLOCK)
    source.finish()
    if manifest is None:
        raise _bad("it holds nothing")
    listed = {entry.path: entry.sha256 for entry in manifest.files}
    for path in sorted(listed.keys() | found.keys()):
        if listed.get(path) != found.get(path):
            raise _bad(f"{path[:_SHOWN]!r} is not what its manifest lists")
    return manifest


def _manifest(source: _Unpacked, info: tarfile.TarInfo) -> Manifest:
    if info.name != "manifest.json" or not info.isreg():
        raise _bad(f"it begins with {info.name[:_SHOWN]!r}, not with manifest.json")
    if info.size > MAX_MANIFEST:
        raise _bad(f"its manifest.json is over {MAX_MANIFEST} bytes")
    try:
        found = msgspec.json.decode(source.read(info.size), type=Manifest)
    except UNDECODABLE as error:
        raise _bad(f"its manifest.json cannot be read: {error}") from error
    if not _VERSION.fullmatch(found.version):
        raise _bad(f"its version {found.version[:_SHOWN]!r} is none")
    if not 0 < found.sequence < 2**62:
        raise _bad(f"its sequence {found.sequence} is not a number above 0")
    if not _ARCH.fullmatch(found.arch):
        raise _bad(f"its architecture {found.arch[:_SHOWN]!r} is none")
    return found


def _members(source: _Unpacked) -> Iterator[tarfile.TarInfo]:
    """Every member; the caller takes its data and what fills up the last block."""
    for _ in range(MAX_MEMBERS):
        head = source.read(_BLOCK)
        if not head.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError) as error:
            raise _bad(f"the archive is damaged or no tar ({error})") from error
        # Agents take nothing else either; extended headers would be read into memory.
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE):
            raise _bad(f"{info.name[:_SHOWN]!r} is no file, folder or link")
        if info.size < 0:
            raise _bad("the archive is damaged")
        if not info.isreg():
            info.size = 0
        yield info
    raise _bad(f"it has over {MAX_MEMBERS} members")


class _Unpacked:
    """The bytes within an .xz, at most MAX_UNPACKED."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._xz = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        self._size = 0

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises BadInput when there are fewer."""
        out = bytearray()
        while len(out) < size:
            part = self._some(size - len(out))
            if not part:
                raise _bad("it is cut short: copy it again")
            out += part
        return bytes(out)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        while size:
            size -= len(self.read(min(size, _CHUNK)))

    def digest(self, size: int) -> str:
        """SHA-256 of the next `size` bytes."""
        digest = hashlib.sha256()
        while size:
            part = self.read(min(size, _CHUNK))
            digest.update(part)
            size -= len(part)
        return digest.hexdigest()

    def finish(self) -> None:
        """Read on to the end, which checks the checksums of all."""
        while self._some(_CHUNK):
            pass
        if self._xz.unused_data or self._file.read(1):
            raise _bad("it goes on after its end")

    def _some(self, size: int) -> bytes:
        """1 to `size` bytes; none at the end."""
        while not self._xz.eof:
            raw = b""
            if self._xz.needs_input and not (raw := self._file.read(_CHUNK)):
                raise _bad("it is cut short: copy it again")
            try:
                part = self._xz.decompress(raw, size)
            except lzma.LZMAError as error:
                raise _bad(f"it is damaged or no .tar.xz ({error})") from error
            if part:
                self._size += len(part)
                if self._size > MAX_UNPACKED:
                    raise _bad(f"it unpacks to over {MAX_UNPACKED >> 20} MiB")
                return part
        return b""


def _bad(what: str) -> BadInput:
    return BadInput(f"not an agent package: {what}", source="package")
