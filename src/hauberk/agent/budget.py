"""What the workload grants, kept: background work is slowed down, events are shed by value."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hauberk.ports import Clock
from hauberk.schema.event import OPEN, TERMINATE, NetworkActivity, ProcessActivity

_NS = 1_000_000_000
_HOUR_S = 3600.0


class Background:
    """CPU-seconds for collecting and checks: in no hour more than `pct` of the machine's CPU.

    Half of the hour's grant may be spent at once (the first inventory is shown in seconds), the
    other half comes evenly; so the sum over any hour stays within the grant. Not thread-safe.
    """

    def __init__(self, pct: float, cpus: int, clock: Clock) -> None:
        """Start with the burst available.

        Args:
            pct: percent of the machine's CPU.
            cpus: number of CPUs.
            clock: monotonic time.
        """
        self._cpus, self._clock = max(cpus, 1), clock
        self._at_ns = clock.mono_ns()
        self._rate = self._burst = self._tokens = 0.0
        self.change(pct)
        self._tokens = self._burst

    def change(self, pct: float) -> None:
        """Another grant, from now on."""
        hour = max(pct, 0.01) / 100.0 * self._cpus * _HOUR_S
        self._burst = hour / 2
        self._rate = hour / 2 / _HOUR_S
        self._tokens = min(self._tokens, self._burst)

    def spend(self, cpu_s: float) -> None:
        """CPU-seconds that were used."""
        self._refill()
        self._tokens -= cpu_s

    def owed_s(self) -> float:
        """Seconds to wait until more work fits the grant; 0 when it fits now."""
        self._refill()
        return max(0.0, -self._tokens / self._rate)

    def _refill(self) -> None:
        now = self._clock.mono_ns()
        self._tokens = min(self._burst, self._tokens + (now - self._at_ns) / _NS * self._rate)
        self._at_ns = now


class Shed(msgspec.Struct, frozen=True):
    """What a window's shedding left out."""

    rows: int
    since_ns: int
    until_ns: int
    reason: str


SHORT_NS = 1_000_000_000
KEEP_ONE_IN = 10
LEVELS = (
    "",
    "1 in 10 exits of processes shorter than 1 s kept",
    "exits of processes shorter than 1 s left out",
    "also 1 in 10 accepted connections kept",
    "also accepted connections left out",
)


class EventPath:
    """Measures the event path's CPU per window and sheds by value while it is over its grant.

    Starts of processes, outgoing connections and listening sockets are never shed. Not thread-safe.
    """

    def __init__(self, pct: float, clock: Clock, *, window_s: float = 5.0) -> None:
        """Args are percent of one core, the clock, and seconds per window."""
        self.pct = pct
        self.level = 0
        self._clock, self._window_s = clock, window_s
        self._start_ns = clock.mono_ns()
        self._since_ns = clock.wall_ns()
        self._cpu_s = 0.0
        self._seen = 0
        self._shed_rows = 0
        self._reason = ""

    def spend(self, cpu_s: float) -> None:
        """CPU-seconds that the event path used."""
        self._cpu_s += cpu_s

    def admit(self, rows: Sequence[msgspec.Struct]) -> Sequence[msgspec.Struct]:
        """The rows to report."""
        if self.level == 0:
            return rows
        kept = [row for row in rows if not self._leave_out(row)]
        self._shed_rows += len(rows) - len(kept)
        self._reason = LEVELS[self.level]
        return kept

    def turn(self) -> Shed | None:
        """Close the window if it is over: choose the level, tell what was left out."""
        now = self._clock.mono_ns()
        span = (now - self._start_ns) / _NS
        if span < self._window_s:
            return None
        share = self._cpu_s / span * 100.0
        if share > self.pct:
            self.level = min(self.level + 1, len(LEVELS) - 1)
        elif share < self.pct * 0.6:
            self.level = max(self.level - 1, 0)
        until = self._clock.wall_ns()
        shed = None
        if self._shed_rows:
            shed = Shed(self._shed_rows, min(self._since_ns, until), until, self._reason)
        self._start_ns, self._since_ns = now, until
        self._cpu_s, self._shed_rows = 0.0, 0
        return shed

    def _leave_out(self, row: msgspec.Struct) -> bool:
        if isinstance(row, ProcessActivity):
            short = row.duration_ns is not None and row.duration_ns < SHORT_NS
            return row.activity_id == TERMINATE and short and self._sampled(all_from=2)
        if isinstance(row, NetworkActivity) and self.level >= 3:
            accepted = row.activity_id == OPEN and row.direction == "inbound"
            return accepted and self._sampled(all_from=4)
        return False

    def _sampled(self, *, all_from: int) -> bool:
        if self.level >= all_from:
            return True
        self._seen += 1
        return self._seen % KEEP_ONE_IN != 0
