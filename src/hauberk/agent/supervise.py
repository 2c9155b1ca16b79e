"""Threads that are restarted when they crash, with the traceback logged and the crash told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

LONGEST_PAUSE_S = 60.0
CALM_S = 120.0
_log = logging.getLogger(__name__)


class Supervisor:
    """Starts threads and keeps them alive until `stop` is set."""

    def __init__(self, stop: threading.Event, crashed: Callable[[str, str], None]) -> None:
        """Args are the stop signal and what to tell (thread, error) after a crash."""
        self._stop, self._crashed = stop, crashed
        self._threads: list[threading.Thread] = []
        self.crashes: dict[str, int] = {}

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Run `target` in a thread; it returns when `stop` is set."""
        thread = threading.Thread(target=self._keep, args=(name, target), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, timeout_s: float) -> list[str]:
        """Wait for all threads; the names of those that still run."""
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return [t.name for t in self._threads if t.is_alive()]

    def _keep(self, name: str, target: Callable[[], None]) -> None:
        pause = 1.0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                target()
            except Exception as error:  # noqa: BLE001 the one place that keeps threads alive
                _log.exception("thread %s crashed", name)
                self.crashes[name] = self.crashes.get(name, 0) + 1
                self._crashed(name, f"{type(error).__name__}: {error}")
            if time.monotonic() - started > CALM_S:
                pause = 1.0
            if self._stop.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE_S)
