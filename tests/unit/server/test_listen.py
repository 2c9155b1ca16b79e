from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from hauberk.errors import Conflict, Permanent
from hauberk.server.listen import bind, bind_local, listener, serve


async def hello(scope, receive, send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def test_taken_port_and_foreign_address_are_said() -> None:
    first = bind("127.0.0.1", 0, option="listen")
    with first:
        port = first.getsockname()[1]
        with pytest.raises(Conflict, match=f"--listen 127.0.0.1:{port + 10}"):
            bind("127.0.0.1", port, option="listen")
    with pytest.raises(Permanent, match="cannot be used"):
        bind("203.0.113.7", 1, option="gateway")


def test_local_socket_is_private_and_serves(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("stale")
    sock = bind_local(path)
    assert path.stat().st_mode & 0o777 == 0o600

    async def run() -> bytes:
        server = listener(hello, None)
        tasks = await serve([(server, sock)])
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport) as http:
            answer = await http.get("http://local/")
        server.should_exit = True
        await asyncio.gather(*tasks)
        return answer.content

    assert asyncio.run(run()) == b"hello"
