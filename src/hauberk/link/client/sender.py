"""Sends the spool in order, one batch in flight, and waits as the server asks.

No clock and no sleep in here: `step` does one exchange and says how long to wait before the next,
so that an hour without a server is tested in no time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from hauberk.errors import Temporary
from hauberk.link.client.files import private_folder, write_atomic
from hauberk.link.client.segment import Item
from hauberk.link.client.spool import Spool
from hauberk.link.client.transport import GatewayRefused
from hauberk.schema.link import BatchReply

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
MAX_SET_ASIDE = 32
State = Literal["idle", "sent", "waiting", "stopped"]
_log = logging.getLogger(__name__)


class BatchPort(Protocol):
    """The one route that the sender uses."""

    def batch(self, envelope: bytes) -> BatchReply:
        """Send a sealed batch. Raises Temporary or GatewayRefused."""


class Step(msgspec.Struct, frozen=True):
    """What one step did and how many seconds to wait before the next."""

    state: State
    wait_s: float
    message: str = ""


class Backoff:
    """Doubling waits with jitter between half and one and a half of the nominal time."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives 0 <= x < 1."""
        self._random = random
        self._tries = 0

    def failed(self, retry_after: float = 0.0) -> float:
        """Seconds to wait after one more failure; never less than the peer asks for.

        Up to a quarter more: whom it sent away together shall not come back together.
        """
        nominal = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._tries, 16))
        self._tries += 1
        spread = self._random()
        return max(nominal * (0.5 + spread), retry_after * (1.0 + spread / 4))

    def succeeded(self) -> None:
        """Start over."""
        self._tries = 0


class Sender:
    """One per spool. Not for two threads at once."""

    def __init__(
        self,
        spool: Spool,
        transport: BatchPort,
        seal: Callable[[Item], bytes],
        *,
        random: Callable[[], float],
        quarantine: Path,
        older: Callable[[Item], bytes] | None = None,
    ) -> None:
        """Nothing is sent before `step`.

        Args:
            spool: where batches wait.
            transport: sends; replace it with `use` after a rotation.
            seal: makes the envelope; the same item gives the same bytes under one identity.
            random: 0 <= x < 1, for jitter.
            quarantine: folder for batches that the server can never accept.
            older: makes the envelope of the version before, for a server that is not upgraded yet.
        """
        self._spool, self._transport = spool, transport
        self._seal, self._older = seal, older
        self._as_older = False
        self._backoff = Backoff(random)
        self._quarantine = quarantine
        self.in_doubt = spool.depth > 0
        self.sent_batches = 0
        self.sent_rows = 0
        self.set_aside_rows = 0
        self.refusal = ""

    def use(
        self,
        transport: BatchPort,
        seal: Callable[[Item], bytes],
        older: Callable[[Item], bytes] | None = None,
    ) -> None:
        """Go on with a new identity. Only while not `in_doubt`: the seal changes the bytes."""
        self._transport, self._seal, self._older = transport, seal, older
        self._as_older = False
        self.refusal = ""
        self._backoff.succeeded()

    def stop(self, message: str) -> None:
        """The server refuses this identity: send nothing until `use`."""
        self.refusal = message or "refused"
        _log.error("link: nothing is sent, the server refuses this identity: %s", self.refusal)

    def step(self) -> Step:
        """Send the oldest batch, if any."""
        if self.refusal:
            return Step("stopped", LONGEST_WAIT_S, self.refusal)
        item = self._spool.peek()
        if item is None:
            self.in_doubt = False
            return Step("idle", 0.0)
        self.in_doubt = True
        try:
            self._send(item)
        except Temporary as error:
            return Step("waiting", self._backoff.failed(error.retry_after), str(error))
        except GatewayRefused as error:
            self.in_doubt = False
            if error.refusal.code == "enrol":
                self.stop(error.refusal.message)
                return Step("stopped", LONGEST_WAIT_S, self.refusal)
            self._set_aside(item, error.refusal.message)
            self._spool.give_up(item, error.refusal.message)
            return Step("sent", 0.0, error.refusal.message)
        self.in_doubt = False
        self._backoff.succeeded()
        self._spool.done(item)
        self.sent_batches += 1
        self.sent_rows += item.rows
        return Step("sent", 0.0)

    def _send(self, item: Item) -> None:
        """A "drop" may only mean a server of the version before: then it gets that one."""
        older = self._older
        if older is None or not self._as_older:
            try:
                self._transport.batch(self._seal(item))
            except GatewayRefused as error:
                if older is None or error.refusal.code != "drop":
                    raise
            else:
                return
        try:
            self._transport.batch(older(item))
        except GatewayRefused:
            self._as_older = False
            raise
        if not self._as_older:
            _log.warning("link: this server takes batches of the version before only: upgrade it")
        self._as_older = True

    def _set_aside(self, item: Item, reason: str) -> None:
        """Keep the newest refused batches with the reason, for whoever looks into it."""
        self.set_aside_rows += item.rows
        _log.error(
            "link: batch %s/%d (%d rows) set aside: %s", item.boot, item.sequence, item.rows, reason
        )
        name = f"{item.wall_ns:020d}-{item.sequence}"
        try:
            private_folder(self._quarantine)
            write_atomic(self._quarantine / f"{name}.batch", item.batch)
            write_atomic(self._quarantine / f"{name}.reason", reason.encode("utf-8", "replace"))
            for stale in sorted(self._quarantine.glob("*.batch"))[:-MAX_SET_ASIDE]:
                stale.unlink()
                stale.with_suffix(".reason").unlink(missing_ok=True)
        except OSError as error:
            _log.error("link: batch %d could not be kept: %s", item.sequence, error)
