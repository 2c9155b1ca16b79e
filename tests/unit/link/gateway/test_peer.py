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

from hauberk.link.gateway.peer import PEER, PeerProtocol, server_context
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


def test_certificate_of_another_ca_is_refused_by_tls(kit: Kit, tmp_path: Path) -> None:
    kit.clock.wall = time.time_ns()
    key, _, peer = kit.enrol()
    foreign = Keys(tmp_path / "foreign", now_ns=kit.clock.wall)
    pem, _, _ = foreign.agent_certificate(key.public_key(), peer.agent, now_ns=kit.clock.wall)
    with pytest.raises(httpx.TransportError):
        ask(kit, tmp_path, (pem, pem_of(key)))
