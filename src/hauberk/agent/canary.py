"""Is the event path alive? The agent starts a harmless program and must hear of it by its sensor.

Of its start and of its end, every few minutes, on every tier. When two in a row do not come back in
time that is an alarm: the sensor is opened anew, and the time since the last proof is told as
blind. One alone may only have met a machine that stood still, or slept. A canary that may have
drowned in a full ring proves nothing either way and is sent again.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hauberk.ports import Clock, EventSink
from hauberk.schema.event import LAUNCH, TERMINATE, ProcessActivity
from hauberk.schema.link import Alarm, SensorHealth

EVERY_S = 300.0
AGAIN_S = 10.0
DEADLINE_S = 10.0
# An alarm that mended itself is told for so long, so that no beat misses it.
TOLD_S = 60.0
MARKER = "hauberk-canary-"
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


class Canary:
    """Used by the thread that polls the sensor; `alarms` and `age_s` by any."""

    def __init__(
        self,
        sink: EventSink,
        clock: Clock,
        *,
        every_s: float = EVERY_S,
        start: Callable[[str, bool], int] | None = None,
        end: Callable[[int], None] | None = None,
    ) -> None:
        """Nothing is started before `turn`.

        Args:
            sink: where the sensor's rows go on to.
            clock: time.
            every_s: seconds between two canaries.
            start: starts the program with this marker (True: it stays alive) and gives its pid.
            end: ends and reaps it.
        """
        self._sink, self._clock = sink, clock
        self._every_ns = int(every_s * _NS)
        self._start, self._end = start or launch, end or reap
        self._pid, self._marker = 0, ""
        self._misses = 0
        self._sent_ns = self._due_ns = 0
        self._lost = 0
        self._missing: set[int] = set()
        self._proof_ns: int | None = None
        self._proof_wall_ns = 0
        self._alarm: Alarm | None = None
        self._mended_ns = 0
        self.failed_starts = ""

    def sink(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        """Pass rows on, looking for the canary while one is out."""
        if self._pid and self._missing and table == ProcessActivity.TABLE:
            for row in rows:
                # By its marker too: a sensor in another pid namespace knows it by another number.
                if (
                    isinstance(row, ProcessActivity)
                    and row.activity_id in self._missing
                    and (row.pid == self._pid or self._marker in row.argv)
                ):
                    self._missing.discard(row.activity_id)
        self._sink(table, rows)

    def turn(self, health: SensorHealth) -> str:
        """Send, hear or miss a canary. Returns why the sensor must be opened anew, or ""."""
        now = self._clock.mono_ns()
        if not self._pid:
            if health.tier != "none" and now >= self._due_ns:
                self._send(health, now)
            return ""
        if not self._missing:
            self._back(now)
            return ""
        if now - self._sent_ns < DEADLINE_S * _NS:
            return ""
        self._over()
        if health.lost > self._lost or health.tier == "none":
            self._due_ns = now + int(AGAIN_S * _NS)
            return ""
        self._misses += 1
        if self._misses == 1:
            self._due_ns = now
            return ""
        # One that stays deaf is opened anew ever more rarely: that costs, and helps less each time.
        pause = int(AGAIN_S * _NS) << min(self._misses - 2, 16)
        self._due_ns = now + min(pause, max(self._every_ns, int(AGAIN_S * _NS)))
        what = "start" if LAUNCH in self._missing else "end"
        why = (
            f"the {what} of a program of its own did not come back within {DEADLINE_S:.0f} s, twice"
        )
        if self._alarm is None or self._mended_ns:
            what = ", ".join(health.sources) or "sensor"
            since = self._proof_wall_ns or self._clock.wall_ns()
            self._alarm = Alarm(kind="sensor_detached", what=what, since_ns=since, detail=why)
            self._mended_ns = 0
        _log.error("sensor: %s", why)
        return why

    def blind_since_ns(self) -> int:
        """Wall clock of the last proof; 0 when there was none."""
        return self._proof_wall_ns

    def age_s(self) -> float | None:
        """Seconds since the last proof."""
        return None if self._proof_ns is None else (self._clock.mono_ns() - self._proof_ns) / _NS

    def alarms(self) -> list[Alarm]:
        """Open alarms, and one that was just mended."""
        alarm = self._alarm
        if alarm is None:
            return []
        if self._mended_ns and self._clock.mono_ns() - self._mended_ns > TOLD_S * _NS:
            self._alarm = None
            return []
        return [alarm]

    def close(self) -> None:
        """End the program that is out."""
        self._over()

    def _send(self, health: SensorHealth, now: int) -> None:
        polled = not any(s.startswith(("bpf:", "proc-connector")) for s in health.sources)
        self._marker = MARKER + secrets.token_hex(8)
        try:
            self._pid = self._start(self._marker, polled)
        except OSError as error:
            self.failed_starts = f"canary could not start: {error}"
            self._due_ns = now + self._every_ns
            _log.warning("%s", self.failed_starts)
            return
        self.failed_starts = ""
        # One that must live until it is seen has no end of its own.
        self._missing = {LAUNCH} if polled else {LAUNCH, TERMINATE}
        self._sent_ns, self._lost = now, health.lost

    def _back(self, now: int) -> None:
        self._over()
        self._misses = 0
        self._proof_ns, self._proof_wall_ns = now, self._clock.wall_ns()
        self._due_ns = now + self._every_ns
        if self._alarm is not None and not self._mended_ns:
            self._mended_ns = now

    def _over(self) -> None:
        pid, self._pid = self._pid, 0
        if pid:
            self._end(pid)


def launch(marker: str, polled: bool) -> int:  # noqa: FBT001 the one call site names it
    """Start /bin/true, or (`polled`) a program that lives until `reap`. Raises OSError."""
    quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in (0, 1, 2)]
    true = Path("/bin/true")
    if not polled and true.exists():
        return os.posix_spawn(true, [str(true), marker], {}, file_actions=quiet)
    code = "import signal; signal.pause()" if polled else ""
    argv = [sys.executable, "-I", "-S", "-c", code, marker]
    return os.posix_spawn(sys.executable, argv, {}, file_actions=quiet)


def reap(pid: int) -> None:
    """End the program, if it has not ended, and forget it."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError) as error:
        _log.debug("canary %d: %s", pid, error)
