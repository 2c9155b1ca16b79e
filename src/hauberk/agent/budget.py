"""What the workload grants, kept: background work is slowed down, events are shed by value."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from hauberk.link.client.files import write_atomic
from hauberk.link.wire import UNDECODABLE
from hauberk.ports import Clock
from hauberk.schema.event import LAUNCH, OPEN, TERMINATE, NetworkActivity, ProcessActivity

_NS = 1_000_000_000
_HOUR_S = 3600.0
SAVE_CPU_S = 1.0
_log = logging.getLogger(__name__)


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The file: CPU-seconds that were left, and when."""

    tokens: float
    boot: str
    wall_ns: int
    mono_ns: int


class Background:
    """CPU-seconds for collecting and checks: in no hour more than `pct` of the machine's CPU.

    Half of the hour's grant may be spent at once (the first inventory is shown in seconds), the
    other half comes evenly; so the sum over any hour stays within the grant. What is left of it is
    kept in a file, so that a restart does not renew it. Orders of people are charged and not held
    back; what they overdraw is owed up to an hour's grant, so that background work that follows
    rests for two hours at most. Not thread-safe.
    """

    def __init__(
        self, pct: float, cpus: int, clock: Clock, *, kept: Path | None = None, boot: str = ""
    ) -> None:
        """Start with what is left by the file; with the whole burst when there is none.

        Args:
            pct: percent of the machine's CPU.
            cpus: number of CPUs.
            clock: monotonic time.
            kept: the file.
            boot: this boot of the kernel.
        """
        self._cpus, self._clock = max(cpus, 1), clock
        self._kept, self._boot = kept, boot
        self._at_ns = clock.mono_ns()
        self._rate = self._burst = self._tokens = self._unsaved = 0.0
        self.change(pct)
        self._tokens = self._left()

    def change(self, pct: float) -> None:
        """Another grant, from now on."""
        hour = max(pct, 0.01) / 100.0 * self._cpus * _HOUR_S
        self._burst = hour / 2
        self._rate = hour / 2 / _HOUR_S
        self._tokens = min(self._tokens, self._burst)

    def spend(self, cpu_s: float) -> None:
        """CPU-seconds that were used."""
        self._refill()
        self._tokens = max(self._tokens - cpu_s, -2 * self._burst)
        self._unsaved += cpu_s
        if self._unsaved >= SAVE_CPU_S:
            self.save()

    def owed_s(self) -> float:
        """Seconds to wait until more work fits the grant; 0 when it fits now."""
        self._refill()
        return max(0.0, -self._tokens / self._rate)

    def save(self) -> None:
        """Write down what is left; without room the next start finds an older level."""
        if self._kept is None:
            return
        self._refill()
        self._unsaved = 0.0
        level = Level(
            tokens=self._tokens,
            boot=self._boot,
            wall_ns=self._clock.wall_ns(),
            mono_ns=self._clock.mono_ns(),
        )
        try:
            write_atomic(self._kept, msgspec.json.encode(level))
        except OSError as error:
            _log.warning("%s: %s", self._kept, error)

    def _left(self) -> float:
        if self._kept is None or not self._kept.exists():
            return self._burst
        try:
            level = msgspec.json.decode(self._kept.read_bytes(), type=Level)
        except (OSError, *UNDECODABLE) as error:
            _log.error("%s: %s; background work starts without a burst", self._kept, error)
            return 0.0
        if level.boot == self._boot:
            since = self._clock.mono_ns() - level.mono_ns
        else:
            since = self._clock.wall_ns() - level.wall_ns
        left = max(level.tokens, -2 * self._burst) + max(since, 0) / _NS * self._rate
        return min(self._burst, left)

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


Kind = Literal["exit", "accept", "connect", "start"]
SHORT_NS = 1_000_000_000
KEEP_ONE_IN = 10
KEEP_OF_MANY = 100
# So many alike in one window are kept before more of them count as repetitions.
RARE = 20
MOST_KEYS = 4096
LEAST_SHARE = 0.05
BURST_S = 10.0
LEAST_WINDOW_S = 0.5
LONGEST_PAUSE_S = 1.0
FAR_OVER = 3.0
# What a row of the kind is worth to an investigation, and what it costs beside the others.
VALUE: dict[Kind, int] = {"exit": 1, "accept": 2, "connect": 4, "start": 8}
COST: dict[Kind, int] = {"exit": 1, "accept": 1, "connect": 1, "start": 2}
SQUEEZED: tuple[Kind, ...] = ("exit", "accept")
WORDS: dict[Kind, tuple[str, str]] = {
    "exit": (
        "1 in 10 exits of processes shorter than 1 s kept",
        "exits of processes shorter than 1 s left out",
    ),
    "accept": ("1 in 10 accepted connections kept", "accepted connections left out"),
    "connect": (
        "1 in 10 repeated connections of a program to the same peer kept",
        "1 in 100 repeated connections of a program to the same peer kept",
    ),
    "start": (
        "1 in 10 repeated starts of a program by the same parent kept",
        "1 in 100 repeated starts of a program by the same parent kept",
    ),
}
MOST_STEPS = 2 * len(VALUE)


class EventPath:
    """Measures the event path's CPU per window and sheds by value while it is over its grant.

    Each step makes one kind of rows rarer: the one whose measured amount, by cost over value, is
    largest. Listening sockets, first starts of a program by a parent, first connections to a peer
    and long-lived processes' exits are never shed. When nothing is left to shed, `pause_s` slows
    the reader down: the kernel's ring then overflows, and the sensor counts what was lost.
    Not thread-safe, but `squeezed` and `pct` may be set by other threads.
    """

    def __init__(self, pct: float, clock: Clock, *, window_s: float = 5.0) -> None:
        """Args are percent of one core, the clock, and seconds per window."""
        self.pct = pct
        self.squeezed = False
        self._clock, self._window_s = clock, window_s
        self._start_ns = self._filled_ns = clock.mono_ns()
        self._since_ns = clock.wall_ns()
        self._steps: list[Kind] = []
        self._cpu_s = 0.0
        self._tokens = BURST_S * pct / 100.0
        self._counting = False
        self._rows = 0
        self._amounts: Counter[Kind] = Counter()
        self._alike: dict[tuple[object, ...], int] = {}
        self._seen: Counter[Kind] = Counter()
        self._shed: Counter[Kind] = Counter()

    @property
    def level(self) -> int:
        """Steps of shedding that hold now; 0 when everything is reported."""
        return len(self._steps)

    def describe(self) -> str:
        """What is left out now, in words; "" when nothing is."""
        states = Counter(self._steps)
        told = [WORDS[k][n - 1] for k in VALUE if (n := min(states[k], 2))]
        if self.squeezed:
            left = ", ".join(WORDS[k][1] for k in SQUEEZED)
            told.append(f"short of memory: {left}")
        return "; ".join(told)

    def spend(self, cpu_s: float) -> None:
        """CPU-seconds that the event path used."""
        self._cpu_s += cpu_s
        self._refill()
        self._tokens -= cpu_s

    def pause_s(self) -> float:
        """Seconds for which the reader must rest so that the grant holds over ten seconds."""
        self._refill()
        return min(LONGEST_PAUSE_S, max(0.0, -self._tokens / self._rate()))

    def admit(self, rows: Sequence[msgspec.Struct]) -> Sequence[msgspec.Struct]:
        """The rows to report."""
        if not (self._steps or self._counting or self.squeezed):
            return rows
        states = Counter(self._steps)
        if self.squeezed:
            states.update(dict.fromkeys(SQUEEZED, 2))
        self._rows += len(rows)
        return [row for row in rows if not self._leave_out(row, states)]

    def turn(self) -> Shed | None:
        """Close the window if it is over: choose the level, tell what was left out."""
        now = self._clock.mono_ns()
        span = (now - self._start_ns) / _NS
        over = span > LEAST_WINDOW_S and self._cpu_s > 1.5 * self._window_s * self.pct / 100.0
        if span < self._window_s and not over:
            return None
        share = self._cpu_s / span * 100.0
        if share > self.pct:
            self._step()
            if share > FAR_OVER * self.pct:
                self._step()
        elif share < self.pct * 0.6 and self._steps:
            self._steps.pop()
        until = self._clock.wall_ns()
        shed = None
        if count := self._shed.total():
            parts = ", ".join(f"{n} {_NAMES[k]}" for k, n in self._shed.items())
            reason = f"{self._reason}: {parts}"
            shed = Shed(count, min(self._since_ns, until), until, reason)
        self._start_ns, self._since_ns, self._cpu_s = now, until, 0.0
        self._counting = bool(self._steps) or share > self.pct / 2
        self._rows = 0
        for counts in (self._amounts, self._alike, self._shed):
            counts.clear()
        return shed

    @property
    def _reason(self) -> str:
        return "short of memory" if self.squeezed else "over the event grant"

    def _step(self) -> None:
        """One kind of rows becomes rarer; none does when what is left is worth more."""
        states = Counter(self._steps)
        left = [k for k in VALUE if states[k] < 2]
        if self._rows:
            left = [k for k in left if self._amounts[k] >= LEAST_SHARE * self._rows]
        if left:
            # Amounts are of before the shedding of this window; equal ones go by value.
            self._steps.append(max(left, key=lambda k: self._amounts[k] * COST[k] / VALUE[k]))

    def _leave_out(self, row: msgspec.Struct, states: Counter[Kind]) -> bool:
        kind = self._kind(row)
        if kind is None:
            return False
        self._amounts[kind] += 1
        if not states[kind]:
            return False
        if states[kind] >= 2:
            one_in = KEEP_OF_MANY if kind in ("connect", "start") else 0
        else:
            one_in = KEEP_ONE_IN
        self._seen[kind] += 1
        if one_in and self._seen[kind] % one_in == 0:
            return False
        self._shed[kind] += 1
        return True

    def _kind(self, row: msgspec.Struct) -> Kind | None:
        if isinstance(row, ProcessActivity):
            if row.activity_id == LAUNCH:
                repeated = self._repeated("start", row.parent_name, row.exe, row.uid)
                return "start" if repeated else None
            short = row.duration_ns is not None and row.duration_ns < SHORT_NS
            return "exit" if row.activity_id == TERMINATE and short else None
        if isinstance(row, NetworkActivity) and row.activity_id == OPEN:
            if row.direction == "inbound":
                return "accept"
            repeated = self._repeated("connect", row.exe, row.dst_ip, row.dst_port, row.uid)
            return "connect" if repeated else None
        return None

    def _repeated(self, *key: object) -> bool:
        before = self._alike.get(key)
        if before is None:
            if len(self._alike) >= MOST_KEYS:
                return False  # too many different ones to know: kept
            before = 0
        self._alike[key] = before + 1
        return before >= RARE

    def _rate(self) -> float:
        return max(self.pct, 0.1) / 100.0

    def _refill(self) -> None:
        now = self._clock.mono_ns()
        gained = (now - self._filled_ns) / _NS * self._rate()
        self._tokens = min(BURST_S * self._rate(), self._tokens + gained)
        self._filled_ns = now


_NAMES: dict[Kind, str] = {
    "exit": "exits of short processes",
    "accept": "accepted connections",
    "connect": "repeated connections",
    "start": "repeated starts",
}
