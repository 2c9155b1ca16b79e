"""Header blobs out of the three stores rpm has had: sqlite, ndb and Berkeley DB (hash).

Every reader takes the file's bytes and is bounded by them: a hostile file gives `BadStore` or fewer
blobs, never an endless loop or more memory than the file's own size times two.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator

MAX_PACKAGES = 200_000


class BadStore(ValueError):
    """The file is not what its name says, or is damaged."""


def apply_wal(data: bytes, wal: bytes) -> bytearray:
    """The database as it is with the committed transactions of its write-ahead log.

    Frames after the last commit, of another salt, or cut short are ignored, as sqlite does.
    """
    pages = bytearray(data)
    if len(wal) >= 32 and wal[:4] in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"):
        size = struct.unpack_from(">I", wal, 8)[0]
        if 512 <= size <= 65536 and not size & (size - 1):
            _apply(pages, wal, size)
    # In memory there is no log: say "rollback journal" in the header.
    if len(pages) >= 20:
        pages[18:20] = b"\x01\x01"
    return pages


def _apply(pages: bytearray, wal: bytes, size: int) -> None:
    salt = wal[16:24]
    pending: dict[int, int] = {}
    offset, most = 32, (len(pages) + len(wal)) // size + 1
    while offset + 24 + size <= len(wal) and wal[offset + 8 : offset + 16] == salt:
        page, commit = struct.unpack_from(">2I", wal, offset)
        if not 0 < page <= most:
            return
        pending[page] = offset + 24
        if commit:
            for number, at in pending.items():
                start = (number - 1) * size
                if start > len(pages):
                    pages.extend(bytes(start - len(pages)))
                pages[start : start + size] = wal[at : at + size]
            pending.clear()
            if commit <= most:
                del pages[commit * size :]
        offset += 24 + size


def sqlite_blobs(data: bytes, wal: bytes = b"") -> Iterator[bytes]:
    """Header blobs of `rpmdb.sqlite`.

    Raises:
        BadStore: not such a database.
    """
    if not data.startswith(b"SQLite format 3\0"):
        raise BadStore("not an sqlite database")
    pages = apply_wal(data, wal)
    steps = len(pages) // 16 + 1_000_000
    budget = len(pages)
    connection = sqlite3.connect(":memory:")
    try:
        # Computed columns could be larger than all that is stored.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(budget, 1_000_000))
        connection.deserialize(pages)
        del pages
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA query_only=ON")
        # A view of that name could compute for ever; a table only has what the file has.
        ticks = iter(range(steps // 1000))
        connection.set_progress_handler(lambda: next(ticks, None) is None, 1000)
        kind = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE name = 'Packages'"
        ).fetchall()
        if len(kind) != 1 or kind[0][0] != "table" or "virtual" in str(kind[0][1]).lower():
            raise BadStore("has no table Packages")
        for (blob,) in connection.execute("SELECT blob FROM Packages LIMIT ?", (MAX_PACKAGES,)):
            if isinstance(blob, bytes):
                budget -= len(blob)
                if budget < 0:
                    raise BadStore("packages are larger than the file")
                yield blob
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise BadStore(f"damaged sqlite database: {error}") from error
    finally:
        connection.close()


def ndb_blobs(data: bytes) -> Iterator[bytes]:
    """Header blobs of `Packages.db` (SUSE).

    Raises:
        BadStore: not such a database.
    """
    if len(data) < 32 or data[:4] != b"RpmP":
        raise BadStore("not an ndb database")
    version, _, slot_pages = struct.unpack_from("<3I", data, 4)
    end = slot_pages * 4096
    if version or not slot_pages or end > len(data):
        raise BadStore(f"version {version}, {slot_pages} slot pages in {len(data)} bytes")
    budget = len(data)
    for at in range(32, end, 16):
        magic, package, block, blocks = struct.unpack_from("<4s3I", data, at)
        if magic != b"Slot":
            raise BadStore(f"slot at byte {at} has no magic")
        if not package:
            continue
        start = block * 16
        if start + 16 > len(data):
            raise BadStore(f"package {package} lies behind the end of the file")
        magic, number, _, length = struct.unpack_from("<4s3I", data, start)
        if magic != b"BlbS" or number != package or length > blocks * 16:
            raise BadStore(f"package {package} has a damaged header")
        budget -= length + 16
        if budget < 0:
            raise BadStore("packages are larger than the file")
        yield data[start + 16 : start + 16 + length]


class _Bdb:
    """Pages of a Berkeley DB hash file."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 512:
            raise BadStore("shorter than a Berkeley DB page")
        magic = data[12:16]
        if magic == b"\x61\x15\x06\x00":
            self.order = "<"
        elif magic == b"\x00\x06\x15\x61":
            self.order = ">"
        else:
            raise BadStore("not a Berkeley DB hash database")
        self.data = data
        (self.size,) = struct.unpack_from(f"{self.order}I", data, 20)
        if not 512 <= self.size <= 65536 or self.size & (self.size - 1):
            raise BadStore(f"page size {self.size}")
        self.pages = len(data) // self.size
        (last,) = struct.unpack_from(f"{self.order}I", data, 32)
        if last >= self.pages:
            raise BadStore(f"cut short: {self.pages} of {last + 1} pages")
        self.budget = len(data)

    def blobs(self) -> Iterator[bytes]:
        for page in range(1, self.pages):
            base = page * self.size
            if self.data[base + 25] not in (2, 13):  # hash pages, unsorted and sorted
                continue
            (entries,) = struct.unpack_from(f"{self.order}H", self.data, base + 20)
            entries = min(entries, (self.size - 26) // 2)
            offsets = struct.unpack_from(f"{self.order}{entries}H", self.data, base + 26)
            yield from self._values(base, offsets)

    def _values(self, base: int, offsets: tuple[int, ...]) -> Iterator[bytes]:
        # Keys and values take turns; only values are of interest. The key 0 holds a counter.
        for index in range(1, len(offsets), 2):
            offset, end = offsets[index], offsets[index - 1]
            if offset >= self.size:
                raise BadStore(f"entry outside of its page at byte {base}")
            kind = self.data[base + offset]
            if kind == 3 and offset + 12 <= self.size:  # on overflow pages
                first, length = struct.unpack_from(f"{self.order}2I", self.data, base + offset + 4)
                yield self._overflow(first, length)
            elif kind == 1 and end - offset > 16:
                yield self.data[base + offset + 1 : base + end]

    def _overflow(self, page: int, length: int) -> bytes:
        # All values together cannot be larger than the file: this ends loops of pages too.
        self.budget -= length
        if self.budget < 0:
            raise BadStore("values are larger than the file")
        parts: list[bytes] = []
        got = 0
        while page and got < length:
            base = page * self.size
            if page >= self.pages or self.data[base + 25] != 7:
                raise BadStore(f"page {page} is no overflow page")
            following, used = struct.unpack_from(f"{self.order}I2xH", self.data, base + 16)
            if not used:
                raise BadStore(f"overflow page {page} is empty")
            parts.append(self.data[base + 26 : base + 26 + min(used, self.size - 26)])
            got += len(parts[-1])
            page = following
        if got < length:
            raise BadStore("a value is cut short")
        return b"".join(parts)[:length]


def bdb_blobs(data: bytes) -> Iterator[bytes]:
    """Header blobs of a Berkeley DB `Packages` (RHEL 6 to 8 and their kin).

    Raises:
        BadStore: not such a database.
    """
    for count, blob in enumerate(_Bdb(data).blobs()):
        if count >= MAX_PACKAGES:
            return
        yield blob
