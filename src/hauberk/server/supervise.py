"""Threads that must not die: each repeats a step, waits after failures, and tells how it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hauberk.errors import Temporary

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """`wrong` is "" while the last step went well."""

    wrong: str = ""
    failures: int = 0


@dataclass(slots=True)
class _Worker:
    thread: threading.Thread
    stop: threading.Event = field(default_factory=threading.Event)


class Supervisor:
    """Owns the worker threads of a process."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._workers: dict[str, _Worker] = {}
        self.health: dict[str, Health] = {}

    def start(self, name: str, step: Callable[[], bool], idle: Callable[[], object]) -> None:
        """Repeat `step`; after one that returned False call `idle`, which waits for work.

        A name that ended may be started again and keeps its count of failures.
        """
        health = self.health.setdefault(name, Health())
        stop = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(name, step, idle, health, stop), name=name, daemon=True
        )
        self._workers[name] = _Worker(thread, stop)
        thread.start()

    def check(self, name: str) -> str:
        """What is wrong with a thread or with one of its kind (`name:...`), "" when nothing is."""
        for known, health in list(self.health.items()):
            if health.wrong and (known == name or known.startswith(f"{name}:")):
                return f"{known}: {health.wrong}" if known != name else health.wrong
        return ""

    def end(self, name: str, timeout_s: float) -> bool:
        """Stop one thread; False when it did not end in time: then end it again later."""
        worker = self._workers.get(name)
        if worker is None:
            return True
        worker.stop.set()
        worker.thread.join(timeout_s)
        if worker.thread.is_alive():
            return False
        del self._workers[name]
        self.health[name].wrong = ""
        return True

    def join(self, timeout_s: float) -> list[str]:
        """Stop all threads; the names of those that did not end in time."""
        self.stop.set()
        workers = dict(self._workers)
        for worker in workers.values():
            worker.stop.set()
        for worker in workers.values():
            worker.thread.join(timeout_s)
        return [name for name, worker in workers.items() if worker.thread.is_alive()]

    def _run(
        self,
        name: str,
        step: Callable[[], bool],
        idle: Callable[[], object],
        health: Health,
        stop: threading.Event,
    ) -> None:
        wait = FIRST_WAIT_S
        while not stop.is_set():
            try:
                busy = step()
            except Temporary as error:
                _log.warning("%s: %s", name, error)
                health.wrong, health.failures = str(error), health.failures + 1
                stop.wait(min(max(wait, 1.0), LONGEST_WAIT_S))
            except Exception as error:  # noqa: BLE001  the supervisor loop: logged, then again
                _log.error("%s failed", name, exc_info=True)
                health.wrong = f"{type(error).__name__}: {error}"
                health.failures += 1
                stop.wait(wait)
            else:
                health.wrong, wait = "", FIRST_WAIT_S
                if not busy:
                    idle()
                continue
            wait = min(wait * 2, LONGEST_WAIT_S)
