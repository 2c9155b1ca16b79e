"""When each subclass is collected next. Monotonic clock only: wall clock jumps change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hauberk.schema.link import Schedule, Window

SHORTEST_S = 10
_NS = 1_000_000_000


class Plan:
    """Due times per subclass; the first run is due at once. Not thread-safe."""

    def __init__(
        self, defaults: Mapping[str, int], schedule: Schedule, random: Callable[[], float]
    ) -> None:
        """Start with everything due.

        Args:
            defaults: seconds per subclass, from the collectors.
            schedule: what the server asks for instead.
            random: 0 <= x < 1, for jitter.
        """
        self._defaults = dict(defaults)
        self._random = random
        self._schedule = schedule
        self._due: dict[str, int] = dict.fromkeys(self._defaults, 0)
        self._last: dict[str, int] = {}
        self._asked: dict[str, None] = {}

    def every_s(self, subclass: str) -> int:
        """Seconds between two runs."""
        every = self._schedule.every_s.get(subclass, self._defaults[subclass])
        return max(every, SHORTEST_S)

    def change(self, schedule: Schedule) -> None:
        """A new schedule: intervals count from the last run."""
        self._schedule = schedule
        for subclass, last in self._last.items():
            self._due[subclass] = self._after(subclass, last)

    def collect_now(self, subclasses: Iterable[str]) -> list[str]:
        """Make subclasses due at once, also paused ones; empty: all. Returns the known ones."""
        asked = list(subclasses) or list(self._defaults)
        known = [s for s in asked if s in self._defaults]
        self._asked.update(dict.fromkeys(known))
        return known

    def forget(self, subclasses: Iterable[str]) -> None:
        """Nobody wants these at once any more."""
        for subclass in subclasses:
            self._asked.pop(subclass, None)

    def never(self, subclass: str) -> bool:
        """Whether it was never collected since the start."""
        return subclass not in self._last

    @property
    def windows(self) -> list[Window]:
        """When background work is allowed; empty: always."""
        return self._schedule.windows

    def due(self, now_ns: int) -> list[str]:
        """Subclasses to collect now: asked ones first, then the longest overdue."""
        regular = [
            s
            for s, at in self._due.items()
            if at <= now_ns and s not in self._schedule.paused and s not in self._asked
        ]
        order = {s: i for i, s in enumerate(self._defaults)}
        return [*self._asked, *sorted(regular, key=lambda s: (self._due[s], order[s]))]

    def ran(self, subclass: str, now_ns: int) -> None:
        """`subclass` was just collected."""
        self._asked.pop(subclass, None)
        self._last[subclass] = now_ns
        self._due[subclass] = self._after(subclass, now_ns)

    def next_ns(self) -> int | None:
        """Monotonic time of the next due run; None when everything is paused."""
        if self._asked:
            return 0
        return min(
            (at for s, at in self._due.items() if s not in self._schedule.paused), default=None
        )

    def _after(self, subclass: str, last_ns: int) -> int:
        share = min(max(self._schedule.jitter, 0.0), 1.0) * self._random()
        return last_ns + int(self.every_s(subclass) * (1.0 + share) * _NS)
