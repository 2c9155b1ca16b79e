from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import httpx
import pytest

from hauberk.errors import Conflict, Permanent
from hauberk.server.listen import (
    RESERVED_FILES,
    bind,
    bind_local,
    connections,
    listener,
    serve,
)


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


def test_connections_over_the_limit_are_answered_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    sock = bind_local(path)

    async def run() -> list[int]:
        server = listener(hello, None, limit=2)
        tasks = await serve([(server, sock)])
        statuses = []
        held = [await asyncio.open_unix_connection(str(path)) for _ in range(3)]
        for reader, writer in reversed(held):
            writer.write(b"GET / HTTP/1.1\r\nHost: local\r\n\r\n")
            statuses.append(int((await reader.readline()).split()[1]))
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.05)
        server.should_exit = True
        await asyncio.gather(*tasks)
        return statuses

    assert asyncio.run(run()) == [503, 503, 200]


def test_the_stores_keep_descriptors_of_their_own() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        agents, people = connections()
        assert agents + 2 * people + RESERVED_FILES <= max(before[1], 3 * 64 + RESERVED_FILES)
        assert agents >= people
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
