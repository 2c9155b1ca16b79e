"""Threads that must not die: each repeats a step, waits after failures, and tells how it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hauberk.errors import Temporary

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """`wrong` is "" while the last step went well."""

    wrong: str = ""
    failures: int = 0


class Supervisor:
    """Owns the server's worker threads."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.health: dict[str, Health] = {}

    def start(self, name: str, step: Callable[[], bool], idle: Callable[[], object]) -> None:
        """Repeat `step`; after one that returned False call `idle`, which waits for work."""
        health = self.health[name] = Health()
        thread = threading.Thread(
            target=self._run, args=(name, step, idle, health), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def check(self, name: str) -> str:
        """What is wrong with a thread, "" when nothing is."""
        return self.health[name].wrong

    def join(self, timeout_s: float) -> list[str]:
        """Stop all threads; the names of those that did not end in time."""
        self.stop.set()
        for thread in self._threads:
            thread.join(timeout_s)
        return [t.name for t in self._threads if t.is_alive()]

    def _run(
        self, name: str, step: Callable[[], bool], idle: Callable[[], object], health: Health
    ) -> None:
        wait = FIRST_WAIT_S
        while not self.stop.is_set():
            try:
                busy = step()
            except Temporary as error:
                _log.warning("%s: %s", name, error)
                health.wrong, health.failures = str(error), health.failures + 1
                self.stop.wait(min(max(wait, 1.0), LONGEST_WAIT_S))
            except Exception as error:  # noqa: BLE001  the supervisor loop: logged, then again
                _log.error("%s failed", name, exc_info=True)
                health.wrong = f"{type(error).__name__}: {error}"
                health.failures += 1
                self.stop.wait(wait)
            else:
                health.wrong, wait = "", FIRST_WAIT_S
                if not busy:
                    idle()
                continue
            wait = min(wait * 2, LONGEST_WAIT_S)
