"""The event loop: polls the sensor, flushes what it gave, keeps the event path's grant.

The grant also pays for sending, which the link's thread does: what is shed here is not sent
there. Inventory is sent by the same measure; it is rare and a fraction of a window's grant.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from hauberk.agent.budget import EventPath
from hauberk.agent.events import EventBuffer
from hauberk.agent.ledger import Ledger
from hauberk.schema.link import SensorHealth

POLL_S = 0.2
HEALTH_S = 1.0
_log = logging.getLogger(__name__)


class Source(Protocol):
    """The sensor as the loop sees it (`hauberk.sensor.Sensor`)."""

    def poll(self, timeout_s: float) -> int:
        """Wait for events, hand them to the sink; how many."""

    def health(self) -> SensorHealth:
        """Tier, sources, losses."""

    def close(self) -> None:
        """Detach everything."""

    def distrust(self, why: str, since_ns: int) -> None:
        """Close all sources, tell the gap, open them again."""

    def set_self_roots(self, pids: list[int]) -> None:
        """Processes whose activity, and their children's, is labelled `self`."""

    def set_containers(self, by_cgroup_id: Mapping[int, str]) -> None:
        """Container names."""


class WatchLoop:
    """One thread owns the sensor; others only read `health`."""

    def __init__(
        self,
        open_source: Callable[[], Source],
        buffer: EventBuffer,
        path: EventPath,
        ledger: Ledger,
        stop: threading.Event,
        *,
        tick: Callable[[Source, SensorHealth], None] | None = None,
        notes: Callable[[], list[str]] = list,
        proven_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Nothing is attached before `run`.

        Args:
            open_source: attaches the sensor.
            buffer: takes its rows and tells losses.
            path: the grant.
            ledger: counts.
            stop: ends the loop.
            tick: called every second with the sensor and its health.
            notes: what the health says besides the sensor's own reasons.
            proven_s: seconds since a canary came back.
        """
        self._open, self._buffer, self._path = open_source, buffer, path
        self._ledger, self._stop = ledger, stop
        self._tick, self._notes, self._proven_s = tick, notes, proven_s
        self._health = SensorHealth(tier="none", reasons=["the sensor has not started yet"])
        self._asked = -HEALTH_S
        self._sent_cpu_s = ledger.cpu_s("send")
        self.crashed: dict[str, str] = {}
        self.opened = threading.Event()

    def health(self) -> SensorHealth:
        """As of a second ago, with the last crash of each of the agent's own threads."""
        crashes = [f"thread {name} crashed: {error}" for name, error in self.crashed.items()]
        reasons = [*crashes, *self._health.reasons, *self._notes()]
        proven_s = self._proven_s()
        return msgspec.structs.replace(self._health, reasons=reasons, proven_s=proven_s)

    def run(self) -> None:
        """Until the agent stops; a crash closes the sensor and passes through."""
        source = self._open()
        self._health, self._asked = source.health(), time.monotonic()
        self.opened.set()
        try:
            while not self._stop.is_set():
                self.turn(source)
        except BaseException as error:
            self._health = SensorHealth(tier="none", reasons=[f"{type(error).__name__}: {error}"])
            raise
        finally:
            source.close()
            self._buffer.flush()

    def turn(self, source: Source) -> None:
        """One poll and what follows from it."""
        pause_s = self._path.pause_s()
        if pause_s > 0:
            # Nothing is left to shed: what the ring cannot hold meanwhile, the sensor counts.
            self._ledger.add("sensor/rested", runs=1)
            self._stop.wait(pause_s)
        mark = time.thread_time()
        with self._ledger.measure("sensor"):
            count = source.poll(POLL_S)
        now = time.monotonic()
        if now - self._asked > HEALTH_S:
            self._health, self._asked = source.health(), now
            if self._tick is not None:
                with self._ledger.measure("guard"):
                    self._tick(source, self._health)
        if count:
            self._ledger.add("sensor", rows=count)
        self._buffer.turn()
        sent = self._ledger.cpu_s("send")
        self._path.spend(time.thread_time() - mark + sent - self._sent_cpu_s)
        self._sent_cpu_s = sent
