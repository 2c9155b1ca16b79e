"""The link loop: beats, batches, answers, renewals. One thread, nothing in it waits unseen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from hauberk.agent.desired import DesiredState
from hauberk.agent.ledger import Ledger
from hauberk.agent.tasks import TaskGate
from hauberk.errors import HauberkError, Refused, Temporary
from hauberk.link import envelope
from hauberk.link.client.identity import Identity
from hauberk.link.client.segment import Item
from hauberk.link.client.sender import Backoff, Sender
from hauberk.link.client.spool import Spool
from hauberk.link.client.transport import GatewayRefused
from hauberk.ports import Clock
from hauberk.schema.link import (
    BatchReply,
    Beat,
    BeatReply,
    Desired,
    LedgerEntry,
    RotateReply,
    RotateRequest,
    Task,
    TaskResult,
)

REFUSED_PAUSE_S = 10.0
SLOWEST_BEAT_S = 120.0
_NS = 1_000_000_000
OLDER = envelope.READABLE[0]
RENEWED_NS = 6 * 3600 * _NS
_log = logging.getLogger(__name__)


class Gateway(Protocol):
    """The server as the link sees it (`link.client.transport.Transport`)."""

    @property
    def bytes_out(self) -> int:
        """Body bytes sent so far."""

    def beat(self, beat: Beat) -> BeatReply:
        """Raises Temporary or GatewayRefused, as all of them."""

    def batch(self, envelope: bytes) -> BatchReply:
        """One envelope."""

    def result(self, result: TaskResult) -> None:
        """One answer."""

    def rotate(self, request: RotateRequest) -> RotateReply:
        """A new certificate."""

    def close(self) -> None:
        """Drop the connection."""

    def abort(self) -> None:
        """End a call that another thread waits in."""


class Hooks(msgspec.Struct, kw_only=True):
    """What the link asks of the rest of the agent.

    `beat` makes the message of now; `former` gives the goodbye that the agent before this one could
    not say, `former_said` ends it; `rotate` renews the identity; `identity_changed` looks
    whether another identity lies on disk and gives it; the others pass on what the server wants.
    """

    beat: Callable[[list[LedgerEntry], int], Beat]
    task: Callable[[Task], None]
    desired: Callable[[Desired], None]
    resync: Callable[[], None]
    rotate: Callable[[Identity, Gateway], Identity]
    identity_changed: Callable[[Identity], Identity | None]
    connect: Callable[[Identity], Gateway]
    former: Callable[[], Beat | None] = lambda: None
    former_said: Callable[[], None] = lambda: None


class LinkLoop:
    """State of the link; `turn` does what is due and says how long nothing will be."""

    def __init__(
        self,
        identity: Identity,
        spool: Spool,
        sender: Sender,
        gate: TaskGate,
        desired: DesiredState,
        ledger: Ledger,
        clock: Clock,
        hooks: Hooks,
        *,
        gateway: Gateway,
        beat_s: float,
        random: Callable[[], float],
    ) -> None:
        """Nothing is sent before `turn`."""
        self.identity, self._gateway = identity, gateway
        self._spool, self._sender, self._gate = spool, sender, gate
        self._desired, self._ledger, self._clock, self._hooks = desired, ledger, clock, hooks
        self._beat_s, self._random = beat_s, random
        self._backoff = Backoff(random)
        self._beat_ns = self._send_ns = self._result_ns = 0
        self._rotate_asked = False
        self._rotate_ns = 0
        self.unreachable = False

    def turn(self) -> float:
        """Do what is due. Returns seconds until the next thing is, 0 for at once."""
        if self._sender.refusal:
            return self._refused_turn()
        now = self._clock.mono_ns()
        if now >= self._beat_ns:
            self._beat(now)
        if not self._sender.refusal and now >= self._result_ns:
            self._results()
        if not self._sender.refusal and now >= self._rotate_ns and not self._sender.in_doubt:
            self._rotate()
        wait_s = 0.0
        if not self._sender.refusal and now >= self._send_ns:
            with self._ledger.measure("send"):
                before = self._gateway.bytes_out
                step = self._sender.step()
            self._ledger.add("send", bytes_out=self._gateway.bytes_out - before)
            if step.state == "sent":
                return 0.0
            if step.state == "waiting":
                self.unreachable = True
                _log.info("link: %s; next try in %.1f s", step.message, step.wait_s)
                self._send_ns = self._clock.mono_ns() + int(step.wait_s * _NS)
        now = self._clock.mono_ns()
        wait_s = (self._beat_ns - now) / _NS
        if self._send_ns > now:
            wait_s = min(wait_s, (self._send_ns - now) / _NS)
        return max(wait_s, 0.0)

    def idle(self) -> bool:
        """Whether a new batch should end the wait that `turn` asked for."""
        return not self._sender.refusal and self._send_ns <= self._clock.mono_ns()

    def close(self) -> None:
        """Drop the connection."""
        self._gateway.close()

    def abort(self) -> None:
        """End a call that another thread waits in."""
        self._gateway.abort()

    def _beat(self, now: int) -> None:
        entries = self._ledger.entries()
        self._next_beat(now, self._beat_s)
        try:
            with self._ledger.measure("beat"):
                beat = self._hooks.beat(entries, self._desired.current.version)
                self._former(beat)
                reply = self._gateway.beat(beat)
        except Temporary as error:
            wait = self._backoff.failed(error.retry_after)
            self._beat_ns = max(self._beat_ns, self._clock.mono_ns() + int(wait * _NS))
            self.unreachable = True
            _log.info("link: beat: %s", error)
            self._look_for_another_identity()
            return
        except GatewayRefused as error:
            self._stop_or_log("beat", error)
            return
        self._backoff.succeeded()
        if reply.beat_s > self._beat_s:
            self._next_beat(now, min(reply.beat_s, SLOWEST_BEAT_S))
        if self.unreachable:
            # The server is back: don't sit out a long pause.
            self.unreachable = False
            self._send_ns = 0
        self._ledger.told(len(entries))
        self._take(reply)

    def _former(self, now: Beat) -> None:
        former = self._hooks.former()
        if former is None:
            return
        told = msgspec.structs.replace(former, wall_ns=now.wall_ns, mono_ns=now.mono_ns)
        try:
            self._take(self._gateway.beat(told))
        except GatewayRefused as error:
            if error.refusal.code != "drop":
                raise
            _log.warning("link: the goodbye of the agent before is refused: %s", error)
        self._hooks.former_said()

    def _next_beat(self, now: int, seconds: float) -> None:
        self._beat_ns = now + int(seconds * (0.9 + 0.2 * self._random()) * _NS)

    def _take(self, reply: BeatReply) -> None:
        if reply.resync:
            self._hooks.resync()
        if reply.rotate:
            self._rotate_asked = True
            self._rotate_ns = 0
        if reply.desired is not None:
            try:
                if self._desired.accept(reply.desired):
                    self._hooks.desired(self._desired.current)
            except (Refused, OSError) as error:
                _log.error("link: desired state not taken: %s", error)
        for raw in reply.tasks:
            try:
                task = self._gate.judge(raw)
            except OSError as error:
                _log.error("link: a task waits, its journal cannot be written: %s", error)
                return
            if task is not None:
                self._hooks.task(task)

    def _results(self) -> None:
        for result in self._gate.untold():
            try:
                self._gateway.result(result)
            except Temporary as error:
                self._result_ns = self._clock.mono_ns() + int(
                    max(error.retry_after, self._beat_s) * _NS
                )
                return
            except GatewayRefused as error:
                self._stop_or_log(f"answer to task {result.task}", error)
                if self._sender.refusal:
                    return
            self._gate.told(result.task)

    def _rotate(self) -> None:
        self._rotate_ns = self._clock.mono_ns() + 60 * _NS
        if not (self._rotate_asked or self._clock.wall_ns() >= self.identity.rotation_due_ns()):
            return
        try:
            self._adopt(self._hooks.rotate(self.identity, self._gateway))
        except GatewayRefused as error:
            self._stop_or_log("rotation", error)
        except (HauberkError, OSError) as error:
            _log.error("link: certificate not renewed: %s", error)
        else:
            self._rotate_asked = False
            # A wall clock that runs ahead says "due" at once again: let real time pass first.
            self._rotate_ns = self._clock.mono_ns() + RENEWED_NS
            _log.info("link: certificate renewed")

    def _refused_turn(self) -> float:
        other = self._hooks.identity_changed(self.identity)
        if other is None:
            return REFUSED_PAUSE_S
        _log.info("link: a new identity is on disk")
        self._adopt(other)
        return 0.0

    def _look_for_another_identity(self) -> None:
        """An expired certificate looks like no answer: enrolling anew must mend it."""
        other = self._hooks.identity_changed(self.identity)
        if other is not None:
            _log.info("link: a new identity is on disk")
            self._adopt(other)
        elif self._clock.wall_ns() > self.identity.expires_ns():
            _log.error("link: the certificate has expired (or the clock is wrong): enrol anew")

    def _adopt(self, identity: Identity) -> None:
        gateway = self._hooks.connect(identity)
        self._gateway.close()
        another = (identity.ids.agent, identity.ids.workload) != (
            self.identity.ids.agent,
            self.identity.ids.workload,
        )
        self.identity, self._gateway = identity, gateway
        self._gate.use(identity.ids)
        self._desired.use(identity.ids)
        self._sender.use(gateway, sealer(identity), sealer(identity, OLDER))
        self._beat_ns = self._send_ns = self._result_ns = 0
        if another:
            # A workload that the server knows nothing of yet, and defaults until it says more.
            self._hooks.desired(self._desired.current)
            self._hooks.resync()

    def _stop_or_log(self, what: str, error: GatewayRefused) -> None:
        if error.refusal.code == "enrol":
            self._sender.stop(error.refusal.message)
        else:
            _log.error("link: %s refused: %s", what, error)


def sealer(identity: Identity, version: int = envelope.VERSION) -> Callable[[Item], bytes]:
    """Seals batches as `identity`: equal items give equal bytes."""

    def seal(item: Item) -> bytes:
        return envelope.seal(
            identity.key,
            item.batch,
            agent=identity.ids.agent,
            boot=item.boot,
            sequence=item.sequence,
            wall_ns=item.wall_ns,
            mono_ns=item.mono_ns,
            lane=item.lane,
            version=version,
        )

    return seal
