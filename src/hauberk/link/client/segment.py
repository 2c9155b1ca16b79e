r"""One append-only file of the spool: records with length and checksum, acknowledged in order.

::

    file   = b"HBKSPL1\n" | boot (64 bytes, NUL-padded) | record ...
    record = state u8 | crc32 u32 | length u32 | rows u32 | sequence u64 | wall i64 | mono i64
             | body

The checksum covers everything behind it, so a torn tail shows. `state` is overwritten in place
(0 pending, 1 done), which takes no room on a full disk.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

Lane = Literal["e", "i"]
_MAGIC = b"HBKSPL1\n"
_BOOT = 64
_START = len(_MAGIC) + _BOOT
_HEAD = struct.Struct("<BIIIQqq")
_SUMMED = struct.Struct("<IIQqq")
MAX_RECORD = 64 * 1024 * 1024


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One batch that waits to be sent: unsealed bytes, when it was made, how many rows."""

    lane: Lane
    boot: str
    sequence: int
    wall_ns: int
    mono_ns: int
    rows: int
    batch: bytes


class Segment:
    """One file. Not for two threads at once."""

    def __init__(self, path: Path, lane: Lane, ordinal: int, boot: str, descriptor: int) -> None:
        """Use `create` or `open`."""
        self.path, self.lane, self.ordinal, self.boot = path, lane, ordinal, boot
        self.size = _START
        self.cut_bytes = 0
        self.pending = 0
        self.rows = 0
        self.last_sequence = 0
        self.first_wall_ns = 0
        self.last_wall_ns = 0
        self._descriptor = descriptor
        self._head = _START

    @classmethod
    def create(cls, folder: Path, lane: Lane, ordinal: int, boot: str) -> Segment:
        """A new empty file. Raises OSError (no room)."""
        path = folder / f"{ordinal:012d}-{lane}.seg"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        header = _MAGIC + boot.encode()[:_BOOT].ljust(_BOOT, b"\0")
        try:
            _write(descriptor, header, 0)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        return cls(path, lane, ordinal, boot, descriptor)

    @classmethod
    def open(cls, path: Path) -> Segment | None:
        """An existing file, its torn tail cut off; None when it has no readable header."""
        ordinal, _, lane = path.stem.partition("-")
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        header = os.pread(descriptor, _START, 0)
        if len(header) < _START or header[:8] != _MAGIC or lane not in ("e", "i"):
            os.close(descriptor)
            return None
        boot = header[8:].rstrip(b"\0").decode("utf-8", "replace")
        segment = cls(path, "e" if lane == "e" else "i", int(ordinal), boot, descriptor)
        segment._scan()
        return segment

    def append(self, batch: bytes, *, rows: int, sequence: int, wall_ns: int, mono_ns: int) -> None:
        """Add one record. Raises OSError; the file is as before then."""
        summed = _SUMMED.pack(len(batch), rows, sequence, wall_ns, mono_ns)
        crc = zlib.crc32(batch, zlib.crc32(summed))
        head = _HEAD.pack(0, crc, len(batch), rows, sequence, wall_ns, mono_ns)
        try:
            _write(self._descriptor, head + batch, self.size)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self._count(rows, sequence, wall_ns)
        self.size += _HEAD.size + len(batch)

    def head(self) -> Item | None:
        """The oldest pending record.

        Raises:
            OSError: the file cannot be read.
        """
        if not self.pending:
            return None
        raw = os.pread(self._descriptor, _HEAD.size, self._head)
        _, _, length, rows, sequence, wall_ns, mono_ns = _HEAD.unpack(raw)
        return Item(
            lane=self.lane,
            boot=self.boot,
            sequence=sequence,
            wall_ns=wall_ns,
            mono_ns=mono_ns,
            rows=rows,
            batch=os.pread(self._descriptor, length, self._head + _HEAD.size),
        )

    def head_sequence(self) -> int:
        """Sequence of the oldest pending record (there is one)."""
        raw = os.pread(self._descriptor, _HEAD.size, self._head)
        return int(_HEAD.unpack(raw)[4])

    def done(self) -> None:
        """The oldest pending record is dealt with; survives kill -9 at once."""
        raw = os.pread(self._descriptor, _HEAD.size, self._head)
        _, _, length, rows, *_ = _HEAD.unpack(raw)
        os.pwrite(self._descriptor, b"\1", self._head)
        self._head += _HEAD.size + length
        self.pending -= 1
        self.rows -= rows

    @property
    def pending_bytes(self) -> int:
        """Bytes of the records that are not dealt with."""
        return self.size - self._head if self.pending else 0

    def sync(self) -> None:
        """Flush to the device."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _count(self, rows: int, sequence: int, wall_ns: int) -> None:
        if not self.first_wall_ns:
            self.first_wall_ns = wall_ns
        self.last_wall_ns = wall_ns
        self.last_sequence = sequence
        self.pending += 1
        self.rows += rows

    def _scan(self) -> None:
        end = os.fstat(self._descriptor).st_size
        for state, length, rows, sequence, wall_ns in self._records(end):
            if state == 0:
                self._count(rows, sequence, wall_ns)
            else:
                self.last_sequence = sequence
                if not self.pending:
                    self._head = self.size + _HEAD.size + length
            self.size += _HEAD.size + length
        if self.size < end:
            self.cut_bytes = end - self.size
            os.ftruncate(self._descriptor, self.size)

    def _records(self, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        while self.size + _HEAD.size <= end:
            raw = os.pread(self._descriptor, _HEAD.size, self.size)
            state, crc, length, rows, sequence, wall_ns, _ = _HEAD.unpack(raw)
            if length > MAX_RECORD or self.size + _HEAD.size + length > end:
                return
            body = os.pread(self._descriptor, length, self.size + _HEAD.size)
            if zlib.crc32(body, zlib.crc32(raw[5:])) != crc:
                return
            yield state, length, rows, sequence, wall_ns


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
