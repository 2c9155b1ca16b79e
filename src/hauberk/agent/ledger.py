"""Who spent what: CPU by thread time per capability, bytes, rows, in windows of a minute."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hauberk.ports import Clock
from hauberk.schema.link import LedgerEntry

WINDOW_S = 60.0
MAX_KEPT = 2000
_NS = 1_000_000_000


class _Sum:
    __slots__ = ("bytes_out", "cpu_s", "rows", "runs", "shed")

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.bytes_out = self.rows = self.runs = self.shed = 0


class Ledger:
    """Counts for every thread. Nested measures are not counted twice."""

    def __init__(self, clock: Clock, cpu: Callable[[], float]) -> None:
        """Args are the clock and the CPU-seconds of the calling thread (`time.thread_time`)."""
        self._clock, self._cpu = clock, cpu
        self._lock = threading.Lock()
        self._local = threading.local()
        self._open: dict[str, _Sum] = {}
        self._cpu_s: dict[str, float] = {}
        self._start_ns = clock.wall_ns()
        self._start_mono_ns = clock.mono_ns()
        self._closed: deque[LedgerEntry] = deque(maxlen=MAX_KEPT)

    @contextmanager
    def measure(self, capability: str) -> Iterator[None]:
        """Count the CPU of the block for `capability`, less what inner measures count."""
        inner = getattr(self._local, "inner", 0.0)
        self._local.inner = 0.0
        start = self._cpu()
        try:
            yield
        finally:
            used = self._cpu() - start
            own = used - self._local.inner
            self._local.inner = inner + used
            self.add(capability, cpu_s=max(own, 0.0), runs=1)

    def add(
        self,
        capability: str,
        *,
        cpu_s: float = 0.0,
        bytes_out: int = 0,
        rows: int = 0,
        runs: int = 0,
        shed: int = 0,
    ) -> None:
        """Add to the current window."""
        with self._lock:
            total = self._open.setdefault(capability, _Sum())
            total.cpu_s += cpu_s
            self._cpu_s[capability] = self._cpu_s.get(capability, 0.0) + cpu_s
            total.bytes_out += bytes_out
            total.rows += rows
            total.runs += runs
            total.shed += shed

    def cpu_s(self, capability: str) -> float:
        """CPU-seconds of a capability since the start, of all threads."""
        with self._lock:
            return self._cpu_s.get(capability, 0.0)

    def entries(self) -> list[LedgerEntry]:
        """Closed windows that were not told yet, oldest first."""
        with self._lock:
            self._turn()
            return list(self._closed)

    def told(self, count: int) -> None:
        """The first `count` entries reached the server."""
        with self._lock:
            for _ in range(min(count, len(self._closed))):
                self._closed.popleft()

    def _turn(self) -> None:
        now = self._clock.mono_ns()
        span = (now - self._start_mono_ns) / _NS
        if span < WINDOW_S:
            return
        for capability, total in sorted(self._open.items()):
            self._closed.append(
                LedgerEntry(
                    capability=capability,
                    window_start_ns=self._start_ns,
                    window_s=span,
                    cpu_s=total.cpu_s,
                    bytes_out=total.bytes_out,
                    rows=total.rows,
                    runs=total.runs,
                    shed=total.shed,
                )
            )
        self._open = {}
        self._start_mono_ns, self._start_ns = now, self._clock.wall_ns()
