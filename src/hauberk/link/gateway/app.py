"""The gateway's routes, as a bare ASGI application. Ingest and services come in as callbacks.

Bodies are msgpack; every answer that is not 2xx is a `Refusal`:

==========  ======  =================================================================
status      code    when
==========  ======  =================================================================
400         drop    not decodable, wrong form, wrong signature
401, 403    enrol   no certificate, unknown, revoked, expired; another agent's envelope
404, 405    drop    no such route, task or method
409         enrol   cloned key
409         drop    same sequence with other bytes; key enrolled before
413         drop    body over the bound
416         drop    a range behind the end of a package
429, 503    later   too many requests; inbox full, disk full
==========  ======  =================================================================

`/v1/package/SHA256` (for the agent that is to run it) and `/v1/install/SHA256` (for whoever knows
the digest) answer with bytes, whole or a range of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from typing import Any, BinaryIO, Literal, Protocol, TypeVar

import msgspec

from hauberk.errors import (
    BadInput,
    Busy,
    Conflict,
    Forbidden,
    HauberkError,
    NotFound,
    Refused,
    Temporary,
    Unauthenticated,
)
from hauberk.link.envelope import MAX_BODY
from hauberk.link.gateway.bounds import Held, Rate, network_of
from hauberk.link.gateway.download import Downloads, OutOfRange, digest_in, send_file
from hauberk.link.gateway.identity import Cloned, Identities, Peer
from hauberk.link.gateway.peer import PEER
from hauberk.link.wire import UNDECODABLE
from hauberk.ports import Clock
from hauberk.schema.link import (
    BatchReply,
    Beat,
    BeatReply,
    EnrolReply,
    EnrolRequest,
    Refusal,
    RotateReply,
    RotateRequest,
    TaskResult,
)

SMALL_BODY = 1024 * 1024
STRANGER_BODY = 64 * 1024
BODY_TIMEOUT_S = 60.0
PACKAGE, INSTALL = "/v1/package/", "/v1/install/"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Code = Literal["enrol", "drop", "later"]
T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode
_log = logging.getLogger(__name__)


class Services(Protocol):
    """What the server does for agents; each call may block and runs in a worker thread.

    `beat` alone does not block: beats are too many for threads.
    """

    def ca_pem(self) -> bytes:
        """The CA certificate."""

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Redeem a token."""

    def rotate(self, peer: Peer, request: RotateRequest) -> RotateReply:
        """Certify a new key."""

    def beat(self, peer: Peer, beat: Beat) -> Future[BeatReply]:
        """Take a sign of life; the answer comes once it is kept."""

    def result(self, peer: Peer, result: TaskResult) -> None:
        """Take a task's answer."""

    def package(self, peer: Peer, sha256: str) -> tuple[BinaryIO, int]:
        """(file, bytes) of the package that this agent is to run. Raises NotFound."""

    def install(self, sha256: str) -> tuple[BinaryIO, int]:
        """(file, bytes) of a package for whoever knows its digest. Raises NotFound."""


class TooLarge(BadInput):
    """The body is over its bound."""


Ingest = Callable[[Peer, bytes], Awaitable[BatchReply]]


class Gateway:
    """The ASGI application."""

    def __init__(
        self,
        services: Services,
        identities: Identities,
        ingest: Ingest,
        clock: Clock,
        *,
        held_bytes: int = 64 * 1024 * 1024,
        agent_rate: float = 2000.0,
        beat_rate: float = 2.0,
        stranger_rate: float = 5.0,
    ) -> None:
        """`agent_rate`, `beat_rate`, `stranger_rate`: per second of one agent, one address."""
        self._services, self._identities, self._ingest = services, identities, ingest
        self._agents = Rate(clock, per_s=agent_rate, burst=agent_rate * 2)
        # A beat writes to the state; agents have one every few seconds.
        self._beats = Rate(clock, per_s=beat_rate, burst=beat_rate * 30)
        self._strangers = Rate(clock, per_s=stranger_rate, burst=stranger_rate * 12)
        # The CA lies in memory; who asks for it must not use up its neighbours' enrolments.
        self._curious = Rate(clock, per_s=stranger_rate * 10, burst=stranger_rate * 120)
        self._held = Held(held_bytes)
        # What strangers hold is apart: they cannot keep agents from delivering.
        self._held_of_strangers = Held(held_bytes // 16)
        self._routes: dict[str, tuple[str, Callable[[Scope, Receive], Awaitable[bytes]]]] = {
            "/v1/ca": ("GET", self._ca),
            "/v1/enrol": ("POST", self._enrol),
            "/v1/rotate": ("POST", self._rotate),
            "/v1/beat": ("POST", self._beat),
            "/v1/batch": ("POST", self._batch),
            "/v1/result": ("POST", self._result),
        }
        # An agent asks for some hundred pieces, one after the other.
        self._pieces = Rate(clock, per_s=20.0, burst=400.0)
        self._files: dict[str, Callable[[Scope, str], Awaitable[tuple[BinaryIO, int]]]] = {
            PACKAGE: self._package,
            INSTALL: self._install,
        }
        self._turns = {PACKAGE: Downloads(64), INSTALL: Downloads(8)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        route = self._routes.get(scope["path"])
        status = 200
        later = 0.0
        try:
            if prefix := next((p for p in self._files if scope["path"].startswith(p)), ""):
                await self._send_file(scope, receive, send, prefix)
                return
            if route is None:
                raise NotFound(f"no route {scope['path'][:64]!r} on the gateway")
            if scope["method"] != route[0]:
                raise NotFound(f"{scope['path']} answers to {route[0]} only")
            body = await route[1](scope, receive)
        except HauberkError as error:
            status, code = answer_to(error)
            later = error.retry_after if isinstance(error, Temporary) else 0.0
            body = _encode(Refusal(code=code, message=str(error), retry_after=later))
            if code != "later":
                _log.warning("gateway: %s %s: %d %s", scope["path"], _from(scope), status, error)
        except Disconnected:
            return
        headers = [
            (b"content-type", b"application/msgpack"),
            (b"content-length", str(len(body)).encode()),
        ]
        if later:
            headers.append((b"retry-after", str(int(later + 0.999)).encode()))
        if status == 413:
            # The rest of the body is not worth reading.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _ca(self, scope: Scope, _receive: Receive) -> bytes:
        self._curious.take(_from(scope))
        return self._services.ca_pem()

    async def _enrol(self, scope: Scope, receive: Receive) -> bytes:
        self._strangers.take(_from(scope))
        request = await self._read(
            scope, receive, EnrolRequest, _from(scope), limit=STRANGER_BODY, strange=True
        )
        return _encode(await asyncio.to_thread(self._services.enrol, request))

    async def _rotate(self, scope: Scope, receive: Receive) -> bytes:
        peer = await self._peer(scope)
        request = await self._read(scope, receive, RotateRequest, peer.agent)
        return _encode(await asyncio.to_thread(self._services.rotate, peer, request))

    async def _beat(self, scope: Scope, receive: Receive) -> bytes:
        peer = await self._peer(scope)
        self._beats.take(peer.agent)
        beat = await self._read(scope, receive, Beat, peer.agent)
        return _encode(await asyncio.wrap_future(self._services.beat(peer, beat)))

    async def _result(self, scope: Scope, receive: Receive) -> bytes:
        peer = await self._peer(scope)
        result = await self._read(scope, receive, TaskResult, peer.agent)
        await asyncio.to_thread(self._services.result, peer, result)
        return b""

    async def _batch(self, scope: Scope, receive: Receive) -> bytes:
        peer = await self._peer(scope)
        size = _declared(scope, MAX_BODY)
        with self._held.hold(size, peer.agent):
            body = await _body(receive, MAX_BODY)
            return _encode(await self._ingest(peer, body))

    async def _send_file(self, scope: Scope, receive: Receive, send: Send, prefix: str) -> None:
        if scope["method"] != "GET":
            raise NotFound(f"{prefix} answers to GET only")
        digest = digest_in(scope["path"], prefix)
        file, size = await self._files[prefix](scope, digest)
        with file:
            async with self._turns[prefix].turn():
                try:
                    await send_file(receive, send, file, size, scope["headers"])
                except TimeoutError:
                    # Ends the connection: what was announced has not all been sent.
                    _log.warning("gateway: %s takes a package too slowly", _from(scope))

    async def _package(self, scope: Scope, digest: str) -> tuple[BinaryIO, int]:
        peer = await self._peer(scope)
        self._pieces.take(peer.agent)
        return await asyncio.to_thread(self._services.package, peer, digest)

    async def _install(self, scope: Scope, digest: str) -> tuple[BinaryIO, int]:
        self._strangers.take(_from(scope))
        return await asyncio.to_thread(self._services.install, digest)

    async def _peer(self, scope: Scope) -> Peer:
        der: bytes | None = scope.get("extensions", {}).get(PEER)
        peer = self._identities.cached(der)
        if peer is None:
            peer = await asyncio.to_thread(self._identities.of, der)
        self._agents.take(peer.agent)
        return peer

    async def _read(
        self,
        scope: Scope,
        receive: Receive,
        kind: type[T],
        key: str,
        *,
        limit: int = SMALL_BODY,
        strange: bool = False,
    ) -> T:
        held = self._held_of_strangers if strange else self._held
        with held.hold(_declared(scope, limit), key):
            body = await _body(receive, limit)
            try:
                return msgspec.msgpack.decode(body, type=kind)
            except UNDECODABLE as error:
                raise BadInput(f"not a {kind.__name__}: {error}", source=scope["path"]) from error


class Disconnected(Exception):
    """The peer left before its request was whole."""


def answer_to(error: HauberkError) -> tuple[int, Code]:
    """HTTP status and code of a refusal."""
    for kind, status, code in _ANSWERS:
        if isinstance(error, kind):
            return status, code
    return 400, "drop"


_ANSWERS: tuple[tuple[type[HauberkError], int, Code], ...] = (
    (Cloned, 409, "enrol"),
    (Unauthenticated, 401, "enrol"),
    (Forbidden, 403, "enrol"),
    (Refused, 400, "drop"),
    (TooLarge, 413, "drop"),
    (OutOfRange, 416, "drop"),
    (NotFound, 404, "drop"),
    (Conflict, 409, "drop"),
    (Busy, 429, "later"),
    (Temporary, 503, "later"),
)


def _from(scope: Scope) -> str:
    client = scope.get("client")
    return network_of(str(client[0])) if client else "local"


def _declared(scope: Scope, limit: int) -> int:
    """Content-Length, or the limit for a chunked body. Raises TooLarge."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            size = int(value) if value.isdigit() else limit + 1
            if size > limit:
                raise TooLarge(f"body of {value.decode('latin-1')[:20]} bytes; at most {limit}")
            return size
    return limit


async def _body(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise TooLarge(f"body over {limit} bytes")
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError as error:
        raise Busy(f"no whole body within {BODY_TIMEOUT_S:.0f} s", retry_after=5.0) from error
