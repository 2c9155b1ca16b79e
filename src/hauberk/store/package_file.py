"""Reads what an agent package says of itself, from a file that anybody may have made.

A package is a .tar.xz with one `manifest.json`, at its top or in its top folder. All of it is
unpacked (into nothing) so that a damaged file is found here and not on a thousand machines; memory
is bounded whatever the file claims.
"""

from __future__ import annotations

import lzma
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from hauberk.errors import BadInput
from hauberk.link.wire import UNDECODABLE

MAX_PACKAGE = 256 * 1024 * 1024
MAX_UNPACKED = 2 * 1024**3
MAX_MANIFEST = 8 * 1024 * 1024
MAX_MEMBERS = 100_000
# xz -9 needs 65 MiB.
_XZ_MEMORY = 160 * 1024 * 1024
_BLOCK, _CHUNK = 512, 256 * 1024
_MANIFEST = re.compile(r"(?:\./)?(?:[^/]{1,100}/)?manifest\.json")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}")
_ARCH = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_ARCHES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the server needs of a package's manifest.json."""

    version: str
    sequence: int
    arch: str


def arch_of(name: str) -> str:
    """The kernel's name of an architecture, whatever a packager calls it."""
    return _ARCHES.get(name, name)


def read_manifest(file: BinaryIO) -> Manifest:
    """Unpack `file` to its end and give its manifest.

    Raises:
        BadInput: no xz, no tar, cut short, damaged, too large, or not an agent package.
    """
    source = _Unpacked(file)
    found: Manifest | None = None
    for name, size in _members(source):
        if name is None or not _MANIFEST.fullmatch(name):
            source.skip(size)
            continue
        if found is not None:
            raise _bad("it has more than one manifest.json")
        if size > MAX_MANIFEST:
            raise _bad(f"its manifest.json is over {MAX_MANIFEST} bytes")
        found = _manifest(source.read(size))
    source.finish()
    if found is None:
        raise _bad("it has no manifest.json: build one with `make agent-bundle`")
    return found


def _manifest(raw: bytes) -> Manifest:
    try:
        found = msgspec.json.decode(raw, type=Manifest)
    except UNDECODABLE as error:
        raise _bad(f"its manifest.json cannot be read: {error}") from error
    if not _VERSION.fullmatch(found.version):
        raise _bad(f"its version {found.version[:80]!r} is none")
    if not 0 < found.sequence < 2**62:
        raise _bad(f"its sequence {found.sequence} is not a number above 0")
    arch = arch_of(found.arch)
    if not _ARCH.fullmatch(arch):
        raise _bad(f"its architecture {found.arch[:40]!r} is none")
    return msgspec.structs.replace(found, arch=arch)


def _members(source: _Unpacked) -> Iterator[tuple[str | None, int]]:
    """(name of a regular file or None, bytes of data that the caller takes) per member."""
    for _ in range(MAX_MEMBERS):
        head = source.read(_BLOCK)
        if not head.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError) as error:
            raise _bad(f"the archive is damaged or no tar ({error})") from error
        bare = info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
        size = 0 if bare else info.size
        if size < 0 or info.type == tarfile.GNUTYPE_SPARSE:
            raise _bad("the archive has a member of no use here")
        yield (info.name if info.isreg() else None), size
        source.skip(-size % _BLOCK)
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
