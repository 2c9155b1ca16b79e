"""Between the processes of a deployment, over NATS: notices, revoked agents, host names.

Nothing here is durable, and nothing waits for it: without NATS a console sees what its own server
does, and an agent that another server revoked is refused once the cached identity runs out.
A process announces what its readers want every few seconds, so that nothing is made for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from hauberk.errors import BadInput
from hauberk.ingest.feed import Feed
from hauberk.ingest.names import Hostnames
from hauberk.ports import Clock
from hauberk.schema.ids import TENANT_NAME
from hauberk.schema.view import Notice

if TYPE_CHECKING:  # who has no NATS does not pay for its client
    from hauberk.store.nats_link import NatsLink

ANNOUNCE_S = 3.0
_BELIEVE_NS = 10 * 1_000_000_000
_FEED, _WANT, _FORGET, _NAME = "hauberk.feed", "hauberk.want", "hauberk.forget", "hauberk.name"
_encode = msgspec.msgpack.encode
Interests = dict[str, list[str]]
T = TypeVar("T")


class _Want(msgspec.Struct, array_like=True, frozen=True):
    process: str
    interests: Interests


_notice = msgspec.msgpack.Decoder(Notice)
_want = msgspec.msgpack.Decoder(_Want)
_texts = msgspec.msgpack.Decoder(tuple[str, str, str])


class Bus:
    """This process' end. `forget` is called with the id of an agent whose identity changed."""

    def __init__(
        self, link: NatsLink, feed: Feed, names: Hostnames, clock: Clock, *, process: str
    ) -> None:
        """Listen, and let the feed tell others what they want. Raises Unreachable."""
        self._link, self._feed, self._names, self._clock = link, feed, names, clock
        self._process = process
        self._wanted: dict[str, tuple[int, Interests]] = {}
        self._lock = threading.Lock()
        self.forget: Callable[[str], None] = lambda _agent: None
        feed.connect(relay=self._relay, elsewhere=self._elsewhere, interest=self.announce)
        link.listen(f"{_FEED}.*", self._on_notice)
        link.listen(_WANT, self._on_want)
        link.listen(_FORGET, self._on_forget)
        link.listen(_NAME, self._on_name)

    def announce(self) -> None:
        """Tell what this process' readers want; also now and then, for who came since."""
        self._link.tell(_WANT, _encode(_Want(self._process, self._feed.interests())))

    def changed(self, agent: str) -> None:
        """An agent's identity changed (revoked, rotated): every server looks it up anew."""
        self._link.tell(_FORGET, agent.encode())

    def named(self, tenant: str, workload: str, hostname: str) -> None:
        """A workload says its name."""
        if self._names.cached(tenant, workload) == hostname:
            return
        self._names.put(tenant, workload, hostname)
        self._link.tell(_NAME, _encode((tenant, workload, hostname)))

    def _relay(self, tenant: str, notice: Notice) -> None:
        self._link.tell(f"{_FEED}.{tenant}", _encode(notice))

    def _elsewhere(self, tenant: str, topic: str) -> bool:
        now = self._clock.mono_ns()
        return any(
            now - at < _BELIEVE_NS and topic in interests.get(tenant, ())
            for at, interests in list(self._wanted.values())
        )

    def _on_notice(self, subject: str, payload: bytes) -> None:
        tenant = subject.removeprefix(f"{_FEED}.")
        if not TENANT_NAME.fullmatch(tenant):
            raise BadInput(f"{tenant!r} is no tenant")
        self._feed.deliver(tenant, _decoded(_notice, payload))

    def _on_want(self, _subject: str, payload: bytes) -> None:
        want = _decoded(_want, payload)
        now = self._clock.mono_ns()
        with self._lock:
            fresh = want.process not in self._wanted
            self._wanted[want.process] = (now, want.interests)
            for process, (at, _) in list(self._wanted.items()):
                if now - at > _BELIEVE_NS:
                    del self._wanted[process]
        if fresh:
            self.announce()

    def _on_forget(self, _subject: str, payload: bytes) -> None:
        self.forget(payload.decode("utf-8", "replace"))

    def _on_name(self, _subject: str, payload: bytes) -> None:
        self._names.put(*_decoded(_texts, payload))


def _decoded(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be decoded: {error}") from error
