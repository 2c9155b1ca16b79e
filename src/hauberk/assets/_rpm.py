"""The rpm database: headers out of sqlite, ndb or Berkeley DB files, read over bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from hauberk.assets._rpm_stores import BadStore, bdb_blobs, ndb_blobs, sqlite_blobs
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
LIMIT = 256 * 1024 * 1024
MAX_TAGS = 0xFFFF
MAX_VALUES = 2_000_000

NAME, VERSION, RELEASE, EPOCH, SUMMARY = 1000, 1001, 1002, 1003, 1004
INSTALLTIME, SIZE, VENDOR, LICENSE, ARCH = 1008, 1009, 1011, 1014, 1022
SOURCERPM, OLDFILENAMES, DIRINDEXES, BASENAMES, DIRNAMES = 1044, 1027, 1116, 1117, 1118
LONGSIZE, MODULARITYLABEL = 5009, 5096

_INDEX = struct.Struct(">4I")
_STRING_TYPES = {6, 8, 9}
_INT_WIDTHS = {2: "B", 3: "H", 4: "I", 5: "Q"}


class Header:
    """One package header: tag -> values, looked up lazily.

    Raises:
        ValueError: the blob's own counts do not fit its size.
    """

    __slots__ = ("_blob", "_data", "_tags")

    def __init__(self, blob: bytes) -> None:
        if len(blob) < 8:
            raise ValueError("header shorter than 8 bytes")
        tags, size = struct.unpack_from(">2I", blob)
        start = 8 + 16 * tags
        if not 0 < tags <= MAX_TAGS or start + size > len(blob):
            raise ValueError(f"header of {len(blob)} bytes claims {tags} tags, {size} bytes")
        self._blob = blob
        self._data = start
        self._tags: dict[int, tuple[int, int, int]] = {}
        for tag, kind, offset, count in _INDEX.iter_unpack(memoryview(blob)[8:start]):
            if offset < size and count <= MAX_VALUES:
                self._tags[tag] = (kind, start + offset, count)

    def raw_strings(self, tag: int) -> list[bytes]:
        """Values of a string, string array or i18n tag; empty when absent or cut short."""
        kind, offset, count = self._tags.get(tag, (0, 0, 0))
        if kind not in _STRING_TYPES or not count:
            return []
        if kind == 6:
            count = 1
        if count == 1:
            end = self._blob.find(b"\0", offset)
            return [self._blob[offset:end]] if end >= 0 else []
        values = self._blob[offset:].split(b"\0", count)
        return values[:count] if len(values) > count else []

    def string(self, tag: int) -> str:
        """The first string of a tag, or "". Never raises."""
        values = self.raw_strings(tag)
        return from_bytes(values[0]) if values else ""

    def ints(self, tag: int) -> tuple[int, ...]:
        """Values of an integer tag; empty when absent or cut short."""
        kind, offset, count = self._tags.get(tag, (0, 0, 0))
        width = _INT_WIDTHS.get(kind)
        if width is None:
            return ()
        form = f">{count}{width}"
        if offset + struct.calcsize(form) > len(self._blob):
            return ()
        return struct.unpack_from(form, self._blob, offset)

    def integer(self, tag: int) -> int | None:
        """The first integer of a tag, or None."""
        values = self.ints(tag)
        return values[0] if values else None

    def evr(self) -> str:
        """`epoch:version-release`, without an epoch of 0 or none."""
        epoch = self.integer(EPOCH)
        text = f"{self.string(VERSION)}-{self.string(RELEASE)}"
        return f"{epoch}:{text}" if epoch else text

    def arch(self) -> str:
        """Architecture, "" for the few pseudo packages that have none."""
        return self.string(ARCH)

    def files(self, wanted: Mapping[bytes, object]) -> list[bytes]:
        """Those paths of `wanted` that this package lists."""
        old = self.raw_strings(OLDFILENAMES)
        if old:
            return [path for path in old if path in wanted]
        names, folders = self.raw_strings(BASENAMES), self.raw_strings(DIRNAMES)
        indexes = self.ints(DIRINDEXES)
        found = []
        for name, index in zip(names, indexes, strict=False):
            if index < len(folders) and (path := folders[index] + name) in wanted:
                found.append(path)
        return found


def source_of(source_rpm: str) -> tuple[str, str]:
    """`name-version-release.src.rpm` -> (name, version-release); ("", "") when it is not one."""
    stem = source_rpm.removesuffix(".rpm").rpartition(".")[0]
    rest, _, release = stem.rpartition("-")
    name, _, version = rest.rpartition("-")
    return (name, f"{version}-{release}") if name and version else ("", "")


def headers(host: Host, notes: Notes) -> Iterator[Header]:
    """All headers of the rpm database of `host`; damaged ones are noted and passed over.

    Raises:
        PathMissing: there is no rpm database.
        HostError: there is one that cannot be read.
    """
    path, data, wal = _database(host, notes)
    if path.endswith(".sqlite"):
        blobs = sqlite_blobs(data, wal)
    elif path.endswith(".db"):
        blobs = ndb_blobs(data)
    else:
        blobs = bdb_blobs(data)
    del data, wal
    count = 0
    try:
        for blob in blobs:
            count += 1
            try:
                yield Header(blob)
            except ValueError as error:
                notes.add(path, f"package header {count}: {error}")
    except BadStore as error:
        raise HostError(
            f"{path}: {error} (after {count} packages); rebuild it with `rpm --rebuilddb`"
        ) from error


def _database(host: Host, notes: Notes) -> tuple[str, bytes, bytes]:
    for folder in FOLDERS:
        for name in ("rpmdb.sqlite", "Packages.db", "Packages"):
            path = f"{folder}/{name}"
            try:
                data = host.read(path, limit=LIMIT)
            except PathMissing:
                continue
            return path, data, _wal(host, notes, path) if name == "rpmdb.sqlite" else b""
    raise PathMissing(f"{host.name}: no rpm database in {', '.join(FOLDERS)}")


def _wal(host: Host, notes: Notes, path: str) -> bytes:
    try:
        return host.read(f"{path}-wal", limit=LIMIT)
    except PathMissing:
        return b""
    except HostError as error:
        notes.add(f"{path}-wal", f"{error}; packages of the last transactions may be missing")
        return b""


def owned(host: Host, notes: Notes, wanted: Mapping[bytes, str]) -> dict[str, tuple[str, str, str]]:
    """Caller's path -> (package name, architecture, evr), for spellings in `wanted`.

    Raises:
        PathMissing: there is no rpm database.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for header in headers(host, notes):
        for path in header.files(wanted):
            found.setdefault(wanted[path], (header.string(NAME), header.arch(), header.evr()))
    return found
