"""How much of what is expensive one user, and all together, may ask for at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hauberk.errors import Busy


class Slot:
    """A place that is taken until `free`, which may be called more than once, from any thread."""

    def __init__(self, limits: Limits, key: str) -> None:
        self._limits, self._key = limits, key
        self.taken = True

    def free(self) -> None:
        """Give it back."""
        self._limits.leave(self, self._key)


class Limits:
    """Counts what is under way, per user and in all.

    Args:
        what: what is limited, for the message: "exports".
        per_user: at once for one user.
        total: at once in this process.
        retry_after: seconds that whoever is turned away should wait.
    """

    def __init__(self, what: str, *, per_user: int, total: int, retry_after: float) -> None:
        self._what, self._per_user, self._total = what, per_user, total
        self._retry_after = retry_after
        self._open: Counter[str] = Counter()
        # The collector may free a slot in the midst of `take`.
        self._lock = threading.RLock()

    def take(self, key: str) -> Slot:
        """A place for this user.

        Raises:
            Busy: this user, or everybody together, has as many as may be.
        """
        with self._lock:
            if self._open[key] >= self._per_user:
                raise Busy(
                    f"{self._per_user} {self._what} of yours run already: wait for one to end",
                    retry_after=self._retry_after,
                )
            if self._open.total() >= self._total:
                raise Busy(
                    f"the server runs {self._total} {self._what} already: try again",
                    retry_after=self._retry_after,
                )
            self._open[key] += 1
        return Slot(self, key)

    def leave(self, slot: Slot, key: str) -> None:
        """Count a slot out, once; `Slot.free` calls it."""
        with self._lock:
            if not slot.taken:
                return
            slot.taken = False
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    @contextmanager
    def taken(self, key: str) -> Iterator[None]:
        """A place for the length of a block. Raises Busy."""
        slot = self.take(key)
        try:
            yield
        finally:
            slot.free()

    def __len__(self) -> int:
        with self._lock:
            return self._open.total()


def exports() -> Limits:
    """For exports: each may read a whole list, and a workbook needs room on the disk."""
    return Limits("exports", per_user=2, total=12, retry_after=5)


def searches() -> Limits:
    """For searches of the lake and counts of values: each reads many rows for few."""
    return Limits("searches", per_user=4, total=24, retry_after=1)
