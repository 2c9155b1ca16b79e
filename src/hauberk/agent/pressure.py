"""How hard the machine's own work presses, and whether background work waits because of it.

Measured by the kernel's pressure stall information ("some avg10"), less the time in which the CPU
bound held the agent itself back: that stall is of its own making. Where the kernel has none, load
average and free memory stand in, and this is said.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from hauberk.ports import Clock

LOOK_S = 2.0
# Back to work only once it is well below, so that its own work does not make it flutter.
RELEASE_SHARE = 0.6
LONGEST_S = 900.0
LEAST_EVERY_S = 60.0
KINDS = ("cpu", "memory", "io")
LOW_MEMORY = 0.10
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


class Pressure:
    """Looks every two seconds at most. `look` from any thread, `least` from one."""

    def __init__(
        self,
        clock: Clock,
        *,
        limit_pct: float,
        throttled_s: Callable[[], float] = lambda: 0.0,
        proc: Path = Path("/proc"),
        cpus: int | None = None,
    ) -> None:
        """Nothing is read before `look`.

        Args:
            clock: monotonic time.
            limit_pct: over it background work waits.
            throttled_s: seconds in which the agent's own bound held it back.
            proc: where the kernel tells.
            cpus: of the machine.
        """
        self.limit_pct = limit_pct
        self.now: dict[str, float] | None = None
        self.detail = ""
        self.backing_off = False
        self._clock, self._proc = clock, proc
        self._throttled, self._cpus = throttled_s, cpus or os.cpu_count() or 1
        self._looking = threading.Lock()
        self._looked_ns: int | None = None
        self._throttled_before = 0.0
        self._since_ns = self._least_ns = 0

    def look(self) -> bool:
        """Whether background work shall wait."""
        with self._looking:
            return self._look()

    def waited_s(self) -> float:
        """Seconds since background work began to wait; 0 when it does not."""
        return (self._clock.mono_ns() - self._since_ns) / _NS if self.backing_off else 0.0

    def least(self) -> bool:
        """Whether a piece of work is due in spite of the pressure, so that nothing goes stale.

        After a quarter of an hour one piece a minute may run; True claims it.
        """
        now = self._clock.mono_ns()
        if not self.backing_off or now - self._since_ns < LONGEST_S * _NS:
            return False
        if self._least_ns != self._since_ns and now - self._least_ns < LEAST_EVERY_S * _NS:
            return False
        self._least_ns = now
        return True

    def _look(self) -> bool:
        now = self._clock.mono_ns()
        if self._looked_ns is not None and now - self._looked_ns < LOOK_S * _NS:
            return self.backing_off
        stalls = self._stalls(now)
        self._looked_ns = now
        worst = max(stalls.values(), default=0.0)
        if not self.backing_off and worst > self.limit_pct:
            self.backing_off = True
            self._since_ns = self._least_ns = now
            _log.info("background work waits: pressure %s", stalls)
        elif self.backing_off and worst <= self.limit_pct * RELEASE_SHARE:
            self.backing_off = False
            _log.info("background work goes on: pressure %s", stalls)
        return self.backing_off

    def _stalls(self, now: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for kind in KINDS:
            try:
                found[kind] = _some_avg10((self._proc / "pressure" / kind).read_text("ascii"))
            except (OSError, ValueError) as error:
                _log.debug("pressure of %s: %s", kind, error)
        if not found:
            self.now = None
            return self._stand_in()
        throttled = self._throttled()
        if self._looked_ns is not None and "cpu" in found and now > self._looked_ns:
            own = 100.0 * (throttled - self._throttled_before) * _NS / (now - self._looked_ns)
            found["cpu"] = max(0.0, found["cpu"] - max(0.0, own))
        self._throttled_before = throttled
        self.now, self.detail = found, ""
        return found

    def _stand_in(self) -> dict[str, float]:
        """Shares that would wait: tasks beyond the CPUs, and memory below a tenth."""
        found: dict[str, float] = {}
        told: list[str] = []
        try:
            load = float((self._proc / "loadavg").read_text("ascii").split()[0])
            found["cpu"] = 100.0 * max(0.0, load - self._cpus) / load if load else 0.0
            told.append(f"load {load:g} on {self._cpus} CPUs")
            rows = (self._proc / "meminfo").read_text("ascii").splitlines()
            sizes = {r.partition(":")[0]: int(r.split()[1]) for r in rows if len(r.split()) > 1}
            free = sizes["MemAvailable"] / sizes["MemTotal"]
            found["memory"] = 100.0 * max(0.0, 1.0 - free / LOW_MEMORY)
            told.append(f"{free:.0%} of memory available")
        except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
            told.append(f"could not be read: {error}")
        self.detail = f"no pressure stall information: judged by {', '.join(told)}"
        return found


def _some_avg10(text: str) -> float:
    for row in text.splitlines():
        kind, *fields = row.split()
        if kind == "some":
            for item in fields:
                name, _, value = item.partition("=")
                if name == "avg10":
                    return float(value)
    raise ValueError("no line of the kind some avg10=")
