"""Signs of life, many in one transaction: a commit costs the same for one as for hundreds."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine

from hauberk.errors import Busy, HauberkError, Temporary
from hauberk.link.gateway.identity import Peer
from hauberk.ports import Clock
from hauberk.schema.link import Beat, BeatReply
from hauberk.store.database import write
from hauberk.store.fleet import LATE_S

GROUP = 256
MAX_WAITING = 20_000
# Beats per second that a server asks its fleet for; fewer agents beat at their own pace.
WANTED_PER_S = 250.0
# With what agents add at random it stays below the time after which one is shown as late.
SLOWEST_S = LATE_S * 0.8
_REMEMBERED_NS = 180 * 1_000_000_000
_log = logging.getLogger(__name__)

Answer = Callable[[Peer, Beat], BeatReply]


@dataclass(slots=True)
class _Waiting:
    peer: Peer
    beat: Beat
    future: Future[BeatReply]


class Pace:
    """Seconds between an agent's beats that keep the whole fleet at WANTED_PER_S."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: OrderedDict[str, int] = OrderedDict()

    def heard(self, agent: str) -> float:
        """Count an agent; seconds until its next beat, 0 for its own setting."""
        now = self._clock.mono_ns()
        self._heard[agent] = now
        self._heard.move_to_end(agent)
        while next(iter(self._heard.values())) < now - _REMEMBERED_NS:
            self._heard.popitem(last=False)
        seconds = len(self._heard) / WANTED_PER_S
        return min(seconds, SLOWEST_S) if seconds > 5 else 0.0


class Beats:
    """Takes beats from any thread and answers them in groups, each in one transaction."""

    def __init__(self, engine: Engine, answer: Answer, clock: Clock) -> None:
        """`answer` takes one beat within the open transaction (`Agents.beat`)."""
        self._engine, self._answer = engine, answer
        self._pace = Pace(clock)
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)
        self._thread.start()

    def submit(self, peer: Peer, beat: Beat) -> Future[BeatReply]:
        """The answer comes once it is committed; the future fails as `answer` raises, or Busy."""
        future: Future[BeatReply] = Future()
        if self._closed or self._waiting.qsize() >= MAX_WAITING:
            future.set_exception(Busy("the server takes no more beats now", retry_after=10.0))
        else:
            self._waiting.put(_Waiting(peer, beat, future))
        return future

    def close(self) -> None:
        """Answer what waits, then end."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            group = [self._waiting.get()]
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get())
            ended = None in group
            wanted = [w for w in group if w and w.future.set_running_or_notify_cancel()]
            if wanted:
                self._answer_all(wanted)

    def _answer_all(self, group: list[_Waiting]) -> None:
        try:
            done = self._together(group)
        except Temporary as error:
            for one in group:
                _settle(one, error)
            return
        except Exception as error:  # noqa: BLE001  supervisor: agents ask again, the rest goes on
            if len(group) > 1:
                # What one agent says must not keep the others from beating.
                _log.warning("beats: a group of %d goes one by one: %r", len(group), error)
                for one in group:
                    self._answer_all([one])
                return
            _log.exception("beats: that of agent %s failed", group[0].peer.agent)
            told = f"beat not taken: {type(error).__name__}"
            _settle(group[0], Busy(told, retry_after=10.0))
            return
        for one, result in zip(group, done, strict=True):
            _settle(one, result)

    def _together(self, group: list[_Waiting]) -> list[BeatReply | HauberkError]:
        done: list[BeatReply | HauberkError] = []
        with write(self._engine):
            for one in group:
                pace = self._pace.heard(one.peer.agent)
                try:
                    reply = self._answer(one.peer, one.beat)
                except HauberkError as error:
                    # Refusals are answers too: what they wrote (a clone, say) is kept.
                    done.append(error)
                else:
                    done.append(msgspec.structs.replace(reply, beat_s=pace))
        return done


def _settle(one: _Waiting, result: BeatReply | Exception) -> None:
    if isinstance(result, BeatReply):
        one.future.set_result(result)
    else:
        one.future.set_exception(result)
