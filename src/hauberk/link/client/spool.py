"""What waits for the server: bounded on disk, survives kill -9 and a week without the server.

Batches lie here unsealed; they are signed when they are sent, with the identity of that moment.
Two lanes, events and inventory, share one rising sequence. Over the bound the oldest events go
first, then the oldest inventory; both are counted and told (`take_losses`). A full disk loses new
batches, counted as well, and never raises into the event path.

Records are not flushed one by one: the page cache outlives kill -9, and a power cut begins a new
boot, so that a lost tail cannot make a sequence repeat.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
import zlib
from pathlib import Path

import msgspec

from hauberk.link.client.files import private_folder
from hauberk.link.client.segment import Item, Lane, Segment
from hauberk.link.wire import UNDECODABLE
from hauberk.ports import Clock

_SEQUENCE = struct.Struct("<64sQ")
_MAX_SEGMENT = 1024 * 1024
_LOSSES = 512
_COMPLAIN_NS = 60_000_000_000
_log = logging.getLogger(__name__)


class Losses(msgspec.Struct, kw_only=True):
    """Rows that the spool gave up, since they were last told."""

    events: int = 0
    inventory: int = 0
    since_ns: int = 0
    until_ns: int = 0
    reason: str = ""

    def add(self, lane: Lane, rows: int, since_ns: int, until_ns: int, reason: str) -> None:
        """Count `rows` that were made between the two wall clocks."""
        if lane == "e":
            self.events += rows
        else:
            self.inventory += rows
        self.since_ns = min(self.since_ns, since_ns) if self.since_ns else since_ns
        self.until_ns = max(self.until_ns, until_ns)
        self.reason = reason


class Spool:
    """The queue on disk. Every method may be called from any thread."""

    def __init__(self, folder: Path, *, boot: str, clock: Clock, max_bytes: int) -> None:
        """Open or create the spool; torn tails are cut off.

        Args:
            folder: its own folder, made 0700.
            boot: this boot's id; sequences never repeat within it.
            clock: stamps the batches.
            max_bytes: bound of all segment files together; may be set later.

        Raises:
            OSError: the folder cannot be used.
            ValueError: `boot` is empty or longer than 64 bytes.
        """
        if not 0 < len(boot.encode()) <= 64:
            raise ValueError(f"boot id {boot!r} is not 1 to 64 bytes")
        private_folder(folder)
        self.max_bytes = max_bytes
        self.dropped_rows = 0
        self._folder, self._boot, self._clock = folder, boot, clock
        self._lock = threading.Condition()
        self._lanes: dict[Lane, list[Segment]] = {"e": [], "i": []}
        self._losses = Losses()
        self._in_flight: Segment | None = None
        self._complained_ns: int | None = None
        self._closed = False
        self._ordinal = 0
        for path in sorted(folder.glob("*.seg")):
            segment = Segment.open(path)
            if segment is None:
                _log.error("spool: %s has no readable header; removed", path)
                path.unlink()
                continue
            self._ordinal = max(self._ordinal, segment.ordinal)
            self._lanes[segment.lane].append(segment)
        self._sequence_file = os.open(
            folder / "sequence", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        self._loss_file = os.open(folder / "losses", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._sequence = self._read_sequence()
        self._read_losses()
        self._tell_damage()

    # -- writing ---------------------------------------------------------------------------------

    def append(self, lane: Lane, batch: bytes, rows: int, *, counted: bool = True) -> int | None:
        """Keep one batch; its sequence, or None when there was no room.

        Args:
            lane: "e" events, "i" inventory.
            batch: unsealed bytes.
            rows: rows in it.
            counted: whether rows without room are a loss (a report of losses is not one itself).
        """
        with self._lock:
            wall_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
            if not self._make_room(lane, len(batch)):
                if counted:
                    self._lose(lane, rows, wall_ns, wall_ns, "no room in the spool")
                return None
            for attempt in (1, 2):
                try:
                    self._append(lane, batch, rows, wall_ns, mono_ns)
                except OSError as error:
                    # Inventory is worth more than old events: give it their room, once.
                    if attempt == 1 and lane == "i" and self._drop_oldest("e", "disk full"):
                        continue
                    self._complain(f"no room: {error}")
                    if counted:
                        self._lose(lane, rows, wall_ns, wall_ns, f"disk full: {error.strerror}")
                    return None
                break
            self._lock.notify_all()
            return self._sequence

    def _append(self, lane: Lane, batch: bytes, rows: int, wall_ns: int, mono_ns: int) -> None:
        segments = self._lanes[lane]
        limit = min(_MAX_SEGMENT, max(self.max_bytes // 8, 4096))
        last = segments[-1] if segments else None
        if last is None or last.boot != self._boot or last.size >= limit:
            if last is not None:
                last.sync()
            self._ordinal += 1
            last = Segment.create(self._folder, lane, self._ordinal, self._boot)
            segments.append(last)
        sequence = self._sequence + 1
        self._write_sequence(sequence)
        self._sequence = sequence
        last.append(batch, rows=rows, sequence=sequence, wall_ns=wall_ns, mono_ns=mono_ns)
        self._collect()

    # -- reading ---------------------------------------------------------------------------------

    def peek(self) -> Item | None:
        """The oldest batch, which `done` then removes; None when there is none."""
        with self._lock:
            while (segment := self._oldest()) is not None:
                try:
                    item = segment.head()
                except OSError as error:
                    _log.error("spool: %s cannot be read: %s", segment.path, error)
                    lane = self._lanes[segment.lane]
                    lane.insert(0, lane.pop(lane.index(segment)))
                    self._drop_oldest(segment.lane, f"spool file unreadable: {error.strerror}")
                    continue
                self._in_flight = segment
                return item
            self._in_flight = None
            return None

    def done(self, item: Item) -> None:
        """Forget `item`: it is acknowledged or set aside (or was dropped meanwhile)."""
        with self._lock:
            segment, self._in_flight = self._in_flight, None
            if segment is None or segment not in self._lanes[item.lane] or not segment.pending:
                return
            if segment.boot == item.boot and segment.head_sequence() == item.sequence:
                segment.done()
                self._collect()

    def give_up(self, item: Item, reason: str) -> None:
        """`item` was refused for good: forget it and count its rows as lost."""
        self.done(item)
        with self._lock:
            self._lose(item.lane, item.rows, item.wall_ns, item.wall_ns, f"refused: {reason}")

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something is put in, or `wake`, at most `timeout_s` seconds.

        Returns at once, True, when something waits already.
        """
        with self._lock:
            if self._oldest() is None:
                self._lock.wait(timeout_s)
            return self._oldest() is not None

    def wake(self) -> None:
        """End a `wait`."""
        with self._lock:
            self._lock.notify_all()

    # -- state -----------------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Bytes of all segment files."""
        with self._lock:
            return self._size()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait to be sent."""
        with self._lock:
            return sum(s.pending_bytes for lane in self._lanes.values() for s in lane)

    @property
    def depth(self) -> int:
        """Batches that wait."""
        with self._lock:
            return sum(s.pending for lane in self._lanes.values() for s in lane)

    def take_losses(self) -> Losses | None:
        """What was lost since the last `losses_told`; None when nothing."""
        with self._lock:
            losses = self._losses
            return msgspec.structs.replace(losses) if losses.events or losses.inventory else None

    def losses_told(self, told: Losses) -> None:
        """The loss is reported (its report lies in the spool): forget it."""
        with self._lock:
            rest = self._losses
            self._losses = Losses(
                events=rest.events - told.events, inventory=rest.inventory - told.inventory
            )
            if self._losses.events or self._losses.inventory:
                self._losses.since_ns, self._losses.until_ns = told.until_ns, rest.until_ns
                self._losses.reason = rest.reason
            self._keep_losses()

    def close(self) -> None:
        """Flush and close every file; again is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for lane in self._lanes.values():
                for segment in lane:
                    segment.sync()
                    segment.close()
                lane.clear()
            os.close(self._sequence_file)
            os.close(self._loss_file)

    # -- inside the lock -------------------------------------------------------------------------

    def _size(self) -> int:
        return sum(s.size for lane in self._lanes.values() for s in lane)

    def _oldest(self) -> Segment | None:
        heads = [s for lane in self._lanes.values() if (s := _first_pending(lane)) is not None]
        if len(heads) < 2:
            return heads[0] if heads else None
        if heads[0].boot != heads[1].boot:
            return min(heads, key=lambda s: s.ordinal)
        return min(heads, key=lambda s: s.head_sequence())

    def _collect(self) -> None:
        """Delete files without pending records, except each lane's newest."""
        for lane in self._lanes.values():
            for segment in [s for s in lane[:-1] if not s.pending]:
                segment.remove()
                lane.remove(segment)

    def _make_room(self, lane: Lane, need: int) -> bool:
        """Events never push out inventory; inventory pushes out events, then older inventory."""
        reason = "spool over its bound"
        while self._size() + need > self.max_bytes:
            if self._drop_oldest("e", reason):
                continue
            if need > self.max_bytes or lane == "e" or not self._drop_oldest("i", reason):
                return False
        return True

    def _drop_oldest(self, lane: Lane, reason: str) -> bool:
        segments = self._lanes[lane]
        if not segments:
            return False
        segment = segments.pop(0)
        if segment.pending:
            self._lose(lane, segment.rows, segment.first_wall_ns, segment.last_wall_ns, reason)
            self._complain(reason)
        segment.remove()
        return True

    def _lose(self, lane: Lane, rows: int, since_ns: int, until_ns: int, reason: str) -> None:
        self.dropped_rows += rows
        self._losses.add(lane, rows, since_ns, until_ns, reason)
        self._keep_losses()

    def _keep_losses(self) -> None:
        """Overwritten in place: takes no room on a full disk, and one write is not torn."""
        losses = msgspec.structs.replace(self._losses, reason=self._losses.reason[:100])
        try:
            os.pwrite(self._loss_file, msgspec.json.encode(losses).ljust(_LOSSES), 0)
        except OSError as error:
            # Still counted in memory; only a kill before there is room again would forget it.
            self._complain(f"cannot store the count of losses: {error}")

    def _read_losses(self) -> None:
        raw = os.pread(self._loss_file, _LOSSES, 0)
        if not raw:
            self._keep_losses()
            return
        try:
            self._losses = msgspec.json.decode(raw, type=Losses)
        except UNDECODABLE as error:
            _log.error("spool: the count of losses is damaged: %s", error)
            self._losses = Losses(events=1, reason="the count of former losses was damaged")
        self.dropped_rows = self._losses.events + self._losses.inventory

    def _tell_damage(self) -> None:
        """What was cut off when the files were opened: an unknown number of rows, so one a file."""
        now = self._clock.wall_ns()
        for lane, segments in self._lanes.items():
            for segment in [s for s in segments if s.cut_bytes]:
                _log.error("spool: %s: %d damaged bytes cut off", segment.path, segment.cut_bytes)
                since = segment.last_wall_ns or now
                self._lose(lane, 1, min(since, now), now, "spool file damaged, rows uncounted")

    def _complain(self, what: str) -> None:
        """Log, but not for every batch: the log may lie on the same full disk."""
        now = self._clock.mono_ns()
        if self._complained_ns is None or now - self._complained_ns > _COMPLAIN_NS:
            self._complained_ns = now
            _log.warning("spool: %s (%d rows lost so far)", what, self.dropped_rows)

    def _read_sequence(self) -> int:
        seen = [s.last_sequence for n in self._lanes.values() for s in n if s.boot == self._boot]
        highest = max(seen, default=0)
        raw = os.pread(self._sequence_file, _SEQUENCE.size + 4, 0)
        if not raw:
            return highest
        body, crc = raw[: _SEQUENCE.size], raw[_SEQUENCE.size :]
        if len(raw) < _SEQUENCE.size + 4 or zlib.crc32(body).to_bytes(4, "little") != crc:
            _log.error("spool: sequence file damaged; skipping a million numbers")
            return highest + 1_000_000
        boot, number = _SEQUENCE.unpack(body)
        if boot.rstrip(b"\0") != self._boot.encode():
            return highest
        return max(highest, int(number))

    def _write_sequence(self, number: int) -> None:
        body = _SEQUENCE.pack(self._boot.encode()[:64], number)
        os.pwrite(self._sequence_file, body + zlib.crc32(body).to_bytes(4, "little"), 0)


def _first_pending(lane: list[Segment]) -> Segment | None:
    return next((s for s in lane if s.pending), None)
