from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from storekit import FACTS, Kit, beat, events, seal

from hauberk.errors import (
    BadWire,
    Busy,
    Conflict,
    Forbidden,
    HauberkError,
    NotFound,
    Refused,
    StorageFull,
    Unauthenticated,
)
from hauberk.ingest.receive import Receiver
from hauberk.link.client.identity import csr
from hauberk.link.gateway import app as gateway_app
from hauberk.link.gateway.app import Gateway, TooLarge, answer_to
from hauberk.link.gateway.identity import Cloned, Identities, Peer
from hauberk.link.gateway.peer import PEER
from hauberk.schema.link import BatchReply, BeatReply, EnrolReply, EnrolRequest, Refusal, TaskResult
from hauberk.server.services import GatewayServices


class Wired:
    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.key, reply, self.peer = kit.enrol()
        self.der = ssl.PEM_cert_to_DER_cert(reply.certificate.decode())
        services = GatewayServices(
            kit.agents, kit.keys, kit.packages, publish=lambda *_: None, named=lambda *_: None
        )
        receiver = Receiver(kit.inbox, kit.clock, lambda *_: None)
        self.gateway = Gateway(
            services, Identities(kit.agents.peer, kit.clock), receiver, kit.clock, stranger_rate=1
        )

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        der: bytes | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        parts: int = 1,
    ) -> tuple[int, bytes, dict[bytes, bytes]]:
        sent: list[dict[str, Any]] = []
        size = max(1, -(-len(body) // parts))
        chunks = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
        read = 0

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1
            more = read < len(chunks)
            return {"type": "http.request", "body": chunks[read - 1], "more_body": more}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "client": ("127.0.0.1", 1),
            "headers": headers
            if headers is not None
            else [(b"content-length", str(len(body)).encode())],
            "extensions": {PEER: der},
        }
        asyncio.run(self.gateway(scope, receive, send))
        self.reads = read
        return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])

    def refused(self, *args: Any, **more: Any) -> tuple[int, str]:
        status, body, _ = self.call(*args, **more)
        return status, msgspec.msgpack.decode(body, type=Refusal).code


@pytest.fixture
def wired(kit: Kit) -> Wired:
    return Wired(kit)


def test_ca_and_enrolment_need_no_certificate(wired: Wired) -> None:
    assert wired.call("GET", "/v1/ca")[1] == wired.kit.keys.ca_pem
    request = EnrolRequest(
        token=wired.kit.token(), csr=csr(Ed25519PrivateKey.generate()), facts=FACTS, version="1"
    )
    status, body, _ = wired.call("POST", "/v1/enrol", msgspec.msgpack.encode(request))
    assert status == 200
    assert msgspec.msgpack.decode(body, type=EnrolReply).ca == wired.kit.keys.ca_pem
    assert wired.refused("POST", "/v1/enrol", msgspec.msgpack.encode(request)) == (403, "enrol")


def test_agent_routes(wired: Wired) -> None:
    body = seal(wired.key, wired.peer, events())
    status, answer, _ = wired.call("POST", "/v1/batch", body, der=wired.der, parts=3)
    assert (status, msgspec.msgpack.decode(answer, type=BatchReply).sequence) == (200, 1)
    status, answer, _ = wired.call(
        "POST", "/v1/beat", msgspec.msgpack.encode(beat()), der=wired.der
    )
    assert msgspec.msgpack.decode(answer, type=BeatReply).server_ns == wired.kit.clock.wall
    result = msgspec.msgpack.encode(TaskResult(task="none", outcome="done"))
    assert wired.refused("POST", "/v1/result", result, der=wired.der) == (404, "drop")


@pytest.mark.parametrize("path", ["/v1/beat", "/v1/batch", "/v1/result", "/v1/rotate"])
def test_agent_routes_need_a_certificate(wired: Wired, path: str) -> None:
    assert wired.refused("POST", path, b"x") == (401, "enrol")
    assert wired.refused("POST", path, b"x", der=b"forged") == (401, "enrol")


def test_revoked_and_cloned_agents(wired: Wired) -> None:
    body = msgspec.msgpack.encode(beat("i-1"))
    wired.call("POST", "/v1/beat", body, der=wired.der)
    wired.call("POST", "/v1/beat", msgspec.msgpack.encode(beat("i-2")), der=wired.der)
    assert wired.refused("POST", "/v1/beat", body, der=wired.der) == (409, "enrol")


def test_bodies_are_bounded_before_they_are_read(wired: Wired) -> None:
    huge = [(b"content-length", str(2**30).encode())]
    status, _, headers = wired.call("POST", "/v1/batch", b"", der=wired.der, headers=huge)
    assert (status, headers[b"connection"], wired.reads) == (413, b"close", 0)
    assert wired.refused(
        "POST", "/v1/batch", b"x" * (9 * 2**20), der=wired.der, headers=[], parts=9
    ) == (
        413,
        "drop",
    )
    negative = [(b"content-length", b"-5")]
    assert wired.refused("POST", "/v1/batch", b"", der=wired.der, headers=negative) == (413, "drop")


def test_wrong_bodies_routes_and_methods(wired: Wired) -> None:
    assert wired.refused("POST", "/v1/beat", b"\xc1", der=wired.der) == (400, "drop")
    for bad in (b"\x81\xa8instance\xa2\xff\xfe", b"\x81\xa1x" + b"\x91" * 100_000):
        assert wired.refused("POST", "/v1/beat", bad, der=wired.der) == (400, "drop")
    assert wired.refused("POST", "/v1/batch", b"nonsense", der=wired.der) == (400, "drop")
    assert wired.refused("GET", "/v1/batch", der=wired.der) == (404, "drop")
    assert wired.refused("GET", "/etc/passwd") == (404, "drop")


def test_strangers_are_slowed_down(wired: Wired) -> None:
    for _ in range(12):
        assert wired.refused("POST", "/v1/enrol", b"x") == (400, "drop")
    status, body, headers = wired.call("POST", "/v1/enrol", b"x")
    assert (status, msgspec.msgpack.decode(body, type=Refusal).code) == (429, "later")
    assert int(headers[b"retry-after"]) >= 1
    # Neighbours who only ask for the CA have a bucket of their own.
    for _ in range(120):
        assert wired.call("GET", "/v1/ca")[0] == 200
    assert wired.refused("GET", "/v1/ca") == (429, "later")


def test_strangers_cannot_take_the_room_of_agents(wired: Wired) -> None:
    too_long = [(b"content-length", b"65537")]
    assert wired.refused("POST", "/v1/enrol", headers=too_long) == (413, "drop")
    with contextlib.ExitStack() as stack:
        for n in range(64):
            stack.enter_context(wired.gateway._held_of_strangers.hold(65536, str(n)))
        assert wired.refused("POST", "/v1/enrol", b"x") == (429, "later")
        assert (
            wired.call("POST", "/v1/beat", msgspec.msgpack.encode(beat()), der=wired.der)[0] == 200
        )


def test_a_peer_that_leaves_gets_no_answer(wired: Wired) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/batch",
        "headers": [],
        "extensions": {PEER: wired.der},
    }
    asyncio.run(wired.gateway(scope, receive, send))
    assert sent == []


def test_a_body_that_never_ends_is_given_up(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_app, "BODY_TIMEOUT_S", 0.05)

    async def never(*_: object) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> None:
        with pytest.raises(Busy):
            await gateway_app._body(never, 10)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Cloned("x"), (409, "enrol")),
        (Unauthenticated("x"), (401, "enrol")),
        (Forbidden("x"), (403, "enrol")),
        (Refused("x"), (400, "drop")),
        (BadWire("x"), (400, "drop")),
        (TooLarge("x"), (413, "drop")),
        (NotFound("x"), (404, "drop")),
        (Conflict("x"), (409, "drop")),
        (Busy("x"), (429, "later")),
        (StorageFull("x"), (503, "later")),
    ],
)
def test_answers(error: HauberkError, answer: tuple[int, str]) -> None:
    assert answer_to(error) == answer
    assert Peer.__slots__


def test_beats_are_slowed_down_per_agent(wired: Wired) -> None:
    body = msgspec.msgpack.encode(beat())
    for _ in range(60):
        assert wired.call("POST", "/v1/beat", body, der=wired.der)[0] == 200
    assert wired.refused("POST", "/v1/beat", body, der=wired.der) == (429, "later")
    wired.kit.clock.forward(1)
    assert wired.call("POST", "/v1/beat", body, der=wired.der)[0] == 200
