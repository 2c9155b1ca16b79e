"""The sensor: sources under supervision, their events to the sink, losses told."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hauberk.errors import Unsupported
from hauberk.ports import Clock, EventSink
from hauberk.schema.event import BlindTime
from hauberk.schema.link import SensorHealth
from hauberk.sensor.choose import Choice, Opener, choose
from hauberk.sensor.settings import SensorSettings
from hauberk.sensor.source import UNKNOWN_LOSS, Batch, Source, State

LOG = logging.getLogger(__name__)
LOST, DOWN = 1, 3
ROUNDS = 16
TRIES_BEFORE_FALLBACK = 3
Chooser = Callable[..., Choice]


@dataclass(slots=True)
class _Slot:
    """One source and its fate."""

    opener: Opener
    source: Source | None
    names: list[str]
    lost_before: int = 0
    checked_ns: int = 0
    down_ns: int = 0
    retry_ns: int = 0
    tries: int = 0
    why: str = ""


class Sensor:
    """Sees what happens on this machine. Made by `open_sensor`; `poll` from one thread.

    Every other method may be called from other threads.
    """

    def __init__(
        self, sink: EventSink, clock: Clock, settings: SensorSettings, chooser: Chooser = choose
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._settings = settings
        self._chooser = chooser
        self._state = State(settings, clock)
        self._lock = threading.Lock()
        self._polling = threading.Lock()
        self._events = 0
        self._lost = 0
        # Sources first: what happens while /proc is being read is then not missed.
        self._choice = chooser(self._state)
        self._slots = self._slots_of(self._choice)
        self._state.seed()

    def _slots_of(self, choice: Choice) -> list[_Slot]:
        now = self._clock.wall_ns()
        return [_Slot(how, source, source.names, checked_ns=now) for how, source in choice.sources]

    def poll(self, timeout_s: float) -> int:
        """Wait up to `timeout_s`, then hand everything that came to the sink.

        The wait ends early only when much is pending, so a loop over `poll(0.2)` costs little.
        A source that fails is reported as blind time and opened again later; it never raises.

        Returns:
            Rows given to the sink.

        Raises:
            Whatever the sink raises.
        """
        with self._polling:
            return self._poll(timeout_s)

    def _poll(self, timeout_s: float) -> int:
        self._wait(timeout_s)
        given = 0
        for _ in range(ROUNDS):
            batch = Batch()
            with self._lock:
                more = False
                for slot in self._slots:
                    more |= self._drain(slot, batch)
                self._mend(batch)
            given += self._give(batch)
            if not more:
                break
        return given

    def health(self) -> SensorHealth:
        """The tier that really runs, its sources, totals since start, and why not more."""
        with self._lock:
            running = [name for s in self._slots if s.source is not None for name in s.names]
            down = [f"down: {', '.join(s.names)}: {s.why}" for s in self._slots if s.source is None]
            return SensorHealth(
                tier=self._choice.tier if running else "none",
                sources=running,
                events=self._events,
                lost=self._lost,
                reasons=[*down, *self._choice.reasons],
            )

    def set_self_roots(self, pids: Collection[int]) -> None:
        """Events of these processes and of all that descend from them get `is_self`."""
        with self._lock:
            self._state.processes.set_self_roots(pids)

    def set_containers(self, by_cgroup_id: Mapping[int, str]) -> None:
        """Container names by cgroup id; others fall back to the 64-digit id in the path."""
        with self._lock:
            self._state.containers.set(by_cgroup_id)

    def distrust(self, why: str, since_ns: int) -> None:
        """Give up all sources, which say that they run but do not; the next poll opens them again.

        Args:
            why: told with the blind time.
            since_ns: wall clock from which on they are not proven; 0: from now.
        """
        with self._lock:
            for slot in self._slots:
                if slot.source is not None:
                    self._fail(slot, RuntimeError(why))
                    slot.why, slot.retry_ns = why, 0
                    slot.down_ns = since_ns or slot.down_ns

    def costs(self) -> dict[str, tuple[int, int]]:
        """Per eBPF program (runs, nanoseconds), while the kernel's BPF statistics are on."""
        with self._lock:
            found: dict[str, tuple[int, int]] = {}
            for slot in self._slots:
                of_source = getattr(slot.source, "costs", None)
                if of_source is not None:
                    found.update(of_source())
            return found

    def close(self) -> None:
        """Give everything back, after a poll that is still running; again is fine."""
        with self._polling, self._lock:
            for slot in self._slots:
                if slot.source is not None:
                    slot.source.close()
                    slot.source = None
                    slot.why = "closed"
                    slot.retry_ns = 1 << 62

    # one round

    def _wait(self, timeout_s: float) -> None:
        first = next((s for s in self._slots if s.source is not None), None)
        if first is None or first.source is None:
            time.sleep(max(0.0, timeout_s))
            return
        try:
            first.source.wait(timeout_s)
        except Exception as error:
            LOG.exception("sensor source %s failed while waiting", first.names)
            self._fail(first, error)

    def _drain(self, slot: _Slot, batch: Batch) -> bool:
        if slot.source is None:
            return False
        try:
            more = slot.source.drain(batch)
            self._check_lost(slot, batch)
        except Exception as error:
            LOG.exception("sensor source %s failed", slot.names)
            self._fail(slot, error)
            return False
        return more

    def _check_lost(self, slot: _Slot, batch: Batch) -> None:
        now = self._clock.wall_ns()
        # The absolute difference: a wall clock that jumps back must not stop the check.
        if slot.source is None or abs(now - slot.checked_ns) < self._settings.lost_check_s * 1e9:
            return
        lost = slot.source.lost()
        if lost > slot.lost_before:
            missed = lost - slot.lost_before
            self._lost += missed
            since = min(slot.checked_ns, now)
            batch.blind.append(self._blind(LOST, slot, since, now, missed, "buffer full"))
        slot.lost_before = lost
        slot.checked_ns = now

    def _fail(self, slot: _Slot, error: Exception) -> None:
        source, slot.source = slot.source, None
        slot.why = f"{type(error).__name__}: {error}"
        slot.down_ns = self._clock.wall_ns()
        slot.tries = 0
        slot.retry_ns = self._clock.mono_ns() + int(self._settings.retry_first_s * 1e9)
        if source is not None:
            try:
                source.close()
            except Exception:
                LOG.exception("sensor source %s failed to close", slot.names)

    def _mend(self, batch: Batch) -> None:
        for slot in self._slots:
            if slot.source is not None:
                continue
            if slot.tries == 0 and slot.down_ns:
                # Told at once, and once more with its end when it is over.
                batch.blind.append(self._blind(DOWN, slot, slot.down_ns, 0, UNKNOWN_LOSS, slot.why))
                slot.tries = 1
            if self._clock.mono_ns() >= slot.retry_ns:
                self._reopen(slot, batch)
                return  # the slots may have been replaced

    def _reopen(self, slot: _Slot, batch: Batch) -> None:
        try:
            if slot.tries > TRIES_BEFORE_FALLBACK and self._choice.tier in ("A", "B"):
                self._fall_back(slot.why)
            else:
                slot.source = slot.opener(self._state)
                slot.names = slot.source.names
            self._state.seed()
        except (Unsupported, OSError) as error:
            slot.why = str(error)
            self._later(slot)
            return
        except Exception as error:
            LOG.exception("sensor source %s failed to open", slot.names)
            slot.why = f"{type(error).__name__}: {error}"
            self._later(slot)
            return
        now = self._clock.wall_ns()
        batch.blind.append(self._blind(DOWN, slot, slot.down_ns, now, UNKNOWN_LOSS, slot.why))
        slot.lost_before, slot.checked_ns, slot.tries, slot.down_ns = 0, now, 0, 0

    def _later(self, slot: _Slot) -> None:
        pause = min(self._settings.retry_most_s, self._settings.retry_first_s * 2.0**slot.tries)
        slot.tries += 1
        slot.retry_ns = self._clock.mono_ns() + int(pause * 1e9)

    def _fall_back(self, why: str) -> None:
        """Give up eBPF for this run: a lower tier that works is better than a better one down."""
        self._choice = self._chooser(self._state, without_bpf=why)
        self._slots = self._slots_of(self._choice)

    def _blind(
        self, activity: int, slot: _Slot, since: int, until: int, lost: int, reason: str
    ) -> BlindTime:
        return BlindTime(
            activity_id=activity,
            time_ns=since,
            mono_ns=self._clock.mono_ns(),
            pid=os.getpid(),
            is_self=True,
            until_ns=until,
            lost=lost,
            source=", ".join(slot.names),
            reason=reason,
        )

    def _give(self, batch: Batch) -> int:
        self._events += len(batch.process) + len(batch.network)
        tables = (
            ("process_activity", batch.process),
            ("network_activity", batch.network),
            ("blind_time", batch.blind),
        )
        for table, rows in tables:
            if rows:
                self._sink(table, rows)
        return len(batch)


def open_sensor(sink: EventSink, *, clock: Clock, settings: SensorSettings | None = None) -> Sensor:
    """Start the best sources that this kernel gives.

    Args:
        sink: takes rows of process_activity, network_activity and blind_time in `poll`'s thread.
        clock: wall clock, and nanoseconds since boot (CLOCK_BOOTTIME).
        settings: sizes and intervals.

    Raises:
        OSError: /proc cannot be read.
    """
    return Sensor(sink, clock, settings or SensorSettings())
