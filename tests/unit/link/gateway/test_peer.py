from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from storekit import Kit

from hauberk.link.gateway import peer as peer_module
from hauberk.link.gateway.peer import MAX_HEAD, PEER, PeerProtocol, server_context
from hauberk.server.listen import bind, listener, serve
from hauberk.store.keys import Keys


async def echo(scope, receive, send) -> None:
    der = scope["extensions"][PEER]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": der or b"none"})


def ask(kit: Kit, tmp_path: Path, client: tuple[bytes, bytes] | None) -> bytes:
    kit.keys.server_certificate(["127.0.0.1"], now_ns=kit.clock.wall)
    context = server_context(*kit.keys.server_files, client_ca=kit.keys.ca_file)

    async def run() -> bytes:
        sock = bind("127.0.0.1", 0, option="listen")
        server = listener(echo, context)
        assert isinstance(server, uvicorn.Server)
        tasks = await serve([(server, sock)])
        trust = ssl.create_default_context(cadata=kit.keys.ca_pem.decode())
        trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if client:
            for name, data in zip(("c.pem", "c.key"), client, strict=True):
                (tmp_path / name).write_bytes(data)
            trust.load_cert_chain(tmp_path / "c.pem", tmp_path / "c.key")
        try:
            async with httpx.AsyncClient(verify=trust) as http:
                answer = await http.get(f"https://127.0.0.1:{sock.getsockname()[1]}/")
                return answer.content
        finally:
            server.should_exit = True
            await asyncio.gather(*tasks)

    return asyncio.run(run())


def pem_of(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_certificate_reaches_the_application(kit: Kit, tmp_path: Path) -> None:
    kit.clock.wall = time.time_ns()
    key, reply, _ = kit.enrol()
    der = ssl.PEM_cert_to_DER_cert(reply.certificate.decode())
    assert ask(kit, tmp_path, (reply.certificate, pem_of(key))) == der
    assert ask(kit, tmp_path, None) == b"none"
    assert PeerProtocol._der is None


def test_expired_certificate_reaches_it_too(kit: Kit, tmp_path: Path) -> None:
    """So that the agent hears "enrol anew" instead of a failed handshake."""
    kit.clock.wall = time.time_ns()
    key, _, peer = kit.enrol()
    old = kit.clock.wall - 100 * 86_400 * 10**9
    pem, _, _ = kit.keys.agent_certificate(key.public_key(), peer.agent, now_ns=old)
    assert ask(kit, tmp_path, (pem, pem_of(key))) == ssl.PEM_cert_to_DER_cert(pem.decode())


def test_head_without_an_end_ends_the_connection() -> None:
    async def run() -> int:
        sock = bind("127.0.0.1", 0, option="listen")
        server = listener(echo, None)
        tasks = await serve([(server, sock)])
        port = sock.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = 0
        try:
            writer.write(b"GET / HTTP/1.1\r\nx: ")
            while sent < 64 * MAX_HEAD:
                writer.write(b"y" * 65536)
                await writer.drain()
                sent += 65536
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            server.should_exit = True
            await asyncio.gather(*tasks)
        assert reader.at_eof() or reader.exception() or sent < 64 * MAX_HEAD
        return sent

    assert asyncio.run(run()) < 64 * MAX_HEAD


def test_large_bodies_pass_after_the_head() -> None:
    async def count(scope, receive, send) -> None:
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})

    async def run() -> list[str]:
        sock = bind("127.0.0.1", 0, option="listen")
        server = listener(count, None)
        tasks = await serve([(server, sock)])
        async with httpx.AsyncClient() as http:
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
            answers = [(await http.post(url, content=b"x" * 3 * MAX_HEAD)).text for _ in range(2)]
        server.should_exit = True
        await asyncio.gather(*tasks)
        return answers

    assert asyncio.run(run()) == [str(3 * MAX_HEAD)] * 2


def test_certificate_of_another_ca_is_refused_by_tls(kit: Kit, tmp_path: Path) -> None:
    kit.clock.wall = time.time_ns()
    key, _, peer = kit.enrol()
    foreign = Keys(tmp_path / "foreign", now_ns=kit.clock.wall)
    pem, _, _ = foreign.agent_certificate(key.public_key(), peer.agent, now_ns=kit.clock.wall)
    with pytest.raises(httpx.TransportError):
        ask(kit, tmp_path, (pem, pem_of(key)))


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nx: y\r\n", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nx"],
)
def test_a_peer_that_goes_silent_loses_its_place(said: bytes, monkeypatch) -> None:
    monkeypatch.setattr(peer_module, "HEAD_S", 0.05)
    monkeypatch.setattr(peer_module, "BODY_S", 0.05)

    async def wait(scope, receive, send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def run() -> bytes:
        sock = bind("127.0.0.1", 0, option="listen")
        server = listener(wait, None)
        tasks = await serve([(server, sock)])
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(said)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()
            server.should_exit = True
            await asyncio.gather(*tasks)

    assert asyncio.run(run()) == b""


def test_an_answer_may_take_longer_than_its_request(monkeypatch) -> None:
    monkeypatch.setattr(peer_module, "HEAD_S", 0.3)
    monkeypatch.setattr(peer_module, "BODY_S", 0.3)

    async def slow(scope, receive, send) -> None:
        await asyncio.sleep(0.6)
        await echo(scope, receive, send)

    async def run() -> list[int]:
        sock = bind("127.0.0.1", 0, option="listen")
        server = listener(slow, None)
        tasks = await serve([(server, sock)])
        async with httpx.AsyncClient() as http:
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
            answers = [(await http.get(url)).status_code for _ in range(2)]
        server.should_exit = True
        await asyncio.gather(*tasks)
        return answers

    assert asyncio.run(run()) == [200, 200]


def test_one_address_cannot_take_all_places() -> None:
    """Idle connections of one address leave room for others, and give their places back."""

    async def run() -> tuple[int, bytes, int]:
        sock = bind("127.0.0.1", 0, option="listen")
        server = listener(echo, None, limit=100)
        tasks = await serve([(server, sock)])
        port = sock.getsockname()[1]
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        await asyncio.sleep(0.3)
        ended = sum(reader.at_eof() or reader.exception() is not None for reader, _ in pairs)
        # Another address has its own places.
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=("127.0.0.2", 0)
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        for _, other in pairs:
            other.transport.abort()
        await asyncio.sleep(0.3)
        left = peer_module._places[server.server_state].total()
        server.should_exit = True
        await asyncio.gather(*tasks)
        return ended, answer, left

    ended, answer, left = asyncio.run(run())
    assert ended == 40 - 25
    assert answer.startswith(b"HTTP/1.1 200")
    assert left == 0
