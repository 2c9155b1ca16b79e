"""Slows down guessing: failures per name and per client, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from hauberk.errors import Busy
from hauberk.ports import Clock

_S = 1_000_000_000
MAX_KEYS = 8192
FORGET_S = 900


@dataclass(slots=True)
class _Failures:
    count: int
    last_ns: int
    until_ns: int


class Throttle:
    """After `free` failures each further one doubles the wait, up to `longest_s`."""

    def __init__(
        self, clock: Clock, *, free: int, longest_s: float, max_keys: int = MAX_KEYS
    ) -> None:
        self._clock = clock
        self._free = free
        self._longest_s = longest_s
        self._max = max_keys
        self._seen: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, key: str) -> None:
        """Count an attempt as a failure until `undo` or `succeed`: many at once are no way around.

        Raises:
            Busy: the key has to wait.
        """
        now = self._clock.mono_ns()
        with self._lock:
            known = self._seen.get(key)
            left = 0 if known is None else known.until_ns - now
            if left <= 0:
                self._count(key, now)
        if left > 0:
            raise Busy("too many failed logins: wait and try again", retry_after=left / _S)

    def undo(self, key: str) -> None:
        """An attempt was none."""
        with self._lock:
            known = self._seen.get(key)
            if known is not None:
                known.count = max(0, known.count - 1)
                if known.count < self._free:
                    known.until_ns = 0

    def _count(self, key: str, now: int) -> None:
        known = self._seen.pop(key, None)
        if known is None or now - known.last_ns > FORGET_S * _S:
            known = _Failures(0, now, 0)
        known.count += 1
        known.last_ns = now
        over = known.count - self._free
        if over >= 0:
            wait = min(self._longest_s, 2.0 ** min(over, 30))
            known.until_ns = now + int(wait * _S)
        self._seen[key] = known
        while len(self._seen) > self._max:
            self._seen.popitem(last=False)

    def succeed(self, key: str) -> None:
        """Forget the failures."""
        with self._lock:
            self._seen.pop(key, None)

    def __len__(self) -> int:
        return len(self._seen)
