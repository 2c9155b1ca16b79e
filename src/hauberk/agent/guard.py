"""What keeps the agent within its grants and tells when somebody tampers with it, in one place."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hauberk.agent import process
from hauberk.agent.budget import EventPath
from hauberk.agent.canary import Canary
from hauberk.agent.cgroup import OwnCgroup
from hauberk.agent.integrity import open_integrity
from hauberk.agent.pressure import Pressure
from hauberk.agent.updater_thread import LAUNCHED
from hauberk.ports import Clock, EventSink
from hauberk.schema.link import Alarm, Budget, BudgetState, SensorHealth

MEMORY_S = 5.0
RELIEVE_S = 60.0
# Shares of the memory bound: caches are given up, then a class of events.
CACHES_AT, EVENTS_AT, EVENTS_UNTIL = 0.6, 0.8, 0.7
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


class Distrusted(Protocol):
    """The sensor, as far as it must be opened anew."""

    def distrust(self, why: str, since_ns: int) -> None:
        """Close all sources, tell the gap since `since_ns`, open them again."""


class Guard:
    """Bounds, pressure, own files and canary of one agent."""

    def __init__(
        self, folder: Path, budget: Budget, path: EventPath, sink: EventSink, clock: Clock
    ) -> None:
        """Nothing is moved or started before `start`.

        Args:
            folder: of the agent's state.
            budget: what the workload grants.
            path: the event path, which sheds when memory is short.
            sink: where the sensor's rows go.
            clock: time.
        """
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._budget = budget
        launcher = os.environ.get(LAUNCHED, "")
        parent = os.getppid()
        self.cgroup = OwnCgroup(folder, launcher=parent if launcher == str(parent) else 0)
        self.pressure = Pressure(
            clock, limit_pct=budget.pressure_pct, throttled_s=self.cgroup.throttled_s
        )
        self.integrity = open_integrity(os.environ, clock)
        self.canary = Canary(sink, clock)
        self.relieve: Callable[[], None] = process.give_back_memory
        self.busy: Callable[[], bool] = bool
        self._memory_ns = self._relieved_ns = 0

    def start(self) -> None:
        """Move into the own cgroup."""
        with self._lock:
            self.cgroup.enter(self._budget)

    def change(self, budget: Budget) -> None:
        """Other grants."""
        with self._lock:
            self._budget = budget
            self.pressure.limit_pct = budget.pressure_pct
            self.cgroup.change(budget)

    def stop(self) -> None:
        """End the canary, remove the cgroup."""
        self.canary.close()
        with self._lock:
            self.cgroup.leave()

    def tick(self, source: Distrusted, health: SensorHealth) -> None:
        """Every second, by the thread that polls the sensor."""
        self.look_at_memory()
        self.pressure.look()
        with self._lock:
            self.cgroup.urge(self.pressure.backing_off and not self.busy())
        why = self.canary.turn(health)
        if why:
            source.distrust(why, self.canary.blind_since_ns())

    def look_at_memory(self) -> None:
        """Short of the memory bound: give up caches, then the events of least value; never die."""
        now = self._clock.mono_ns()
        if now - self._memory_ns < MEMORY_S * _NS:
            return
        self._memory_ns = now
        used, bound = self._memory()
        share = used / bound if bound > 0 else 0.0
        if share > CACHES_AT and now - self._relieved_ns > RELIEVE_S * _NS:
            self._relieved_ns = now
            _log.warning("memory: %d of %d bytes: caches are given up", used, bound)
            self.relieve()
        if share > EVENTS_AT and not self._path.squeezed:
            _log.error("memory: %d of %d bytes: events of little value are shed", used, bound)
            self._path.squeezed = True
        elif share < EVENTS_UNTIL and self._path.squeezed:
            self._path.squeezed = False

    def state(self, *, window_open: bool) -> BudgetState:
        """For the beat."""
        pressure = self.pressure
        return BudgetState(
            by=self.cgroup.by,
            detail="; ".join(d for d in (self.cgroup.detail, pressure.detail) if d),
            pressure=pressure.now,
            backing_off=pressure.backing_off,
            window_open=window_open,
            shed_level=self._path.level + self._path.squeezed,
            shed=self._path.describe(),
        )

    def alarms(self) -> list[Alarm]:
        """For the beat."""
        return [*self.canary.alarms(), *self.integrity.alarms()]

    def notes(self) -> list[str]:
        """What the health must say besides the sensor's own reasons."""
        told: list[str] = []
        if self.integrity.unchecked:
            told.append(f"own files are not checked: {self.integrity.unchecked}")
        if self.integrity.notice:
            told.append(self.integrity.notice)
        if self.canary.failed_starts:
            told.append(self.canary.failed_starts)
        return told

    def _memory(self) -> tuple[int, int]:
        with self._lock:
            held = self.cgroup.memory()
            bound = self._budget.memory_bytes
        if held is not None:
            return held
        return process.memory()[0], bound
