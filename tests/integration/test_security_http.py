"""Raw bytes to the real listener with the real applications behind it: smuggling, odd heads."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import apikit
import fuzzkit
import pytest

from hauberk.server.listen import Listener, bind, listener, serve

GOOD = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The API's listener, without TLS: what is tried lies above it."""
    stack = apikit.make(Path(tmp_path_factory.mktemp("http")))
    sock = bind("127.0.0.1", 0, option="listen")
    ready = threading.Event()
    servers: list[Listener] = []

    async def run() -> None:
        server = listener(stack.app, None, limit=64, lifespan=True)
        servers.append(server)
        tasks = await serve([(server, sock)])
        ready.set()
        await asyncio.gather(*tasks)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(20)
    yield int(sock.getsockname()[1])
    servers[0].should_exit = True
    thread.join(20)
    sock.close()
    stack.close()


def talk(port: int, data: bytes, *, wait_s: float = 1.0) -> bytes:
    """All that comes back until the server ends the connection, or says nothing for a while."""
    out = b""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as sock:
        sock.sendall(data)
        try:
            while part := sock.recv(65536):
                out += part
        except (TimeoutError, ConnectionResetError):
            return out
    return out


def statuses(out: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})", out)]


def post(head: bytes, body: bytes) -> bytes:
    return (
        b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        + head
        + b"\r\n"
        + body
    )


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        post(b"Content-Length: 2\r\nContent-Length: 40\r\n", b"{}" + SMUGGLED),
        post(b"Content-Length: 2, 40\r\n", b"{}" + SMUGGLED),
        post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
        post(b"Content-Length: +2\r\n", b"{}" + SMUGGLED),
        post(b"Content-Length: 0x2\r\n", b"{}" + SMUGGLED),
        post(b"Content-Length: -1\r\n", SMUGGLED),
        post(b"Content-Length: 99999999999999999999\r\n", b"{}" + SMUGGLED),
        post(b" Content-Length: 2\r\n", b"{}" + SMUGGLED),
        post(b"X: a\n\nContent-Length: 2\r\n", b"{}" + SMUGGLED),
        post(b"X: a\0b\r\n", SMUGGLED),
        b"GET /healthz HTTP/1.1\r\nHost: h\r\nX:\r\n folded\r\n\x01: y\r\n\r\n" + SMUGGLED,
        b"GET /healthz HTTP/9.9\r\nHost: h\r\n\r\n" + SMUGGLED,
        b"GET\t/healthz HTTP/1.1\r\nHost: h\r\n\r\n" + SMUGGLED,
    ],
)
def test_what_two_servers_would_read_differently_is_refused(port: int, request_: bytes) -> None:
    """Nothing of the second request is answered: the connection ends with the refusal."""
    got = statuses(talk(port, request_))
    assert len(got) <= 1, got
    assert not got or 400 <= got[0] < 500, got


SHAPES = (
    post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    b"GET /api/v1/me?x=%20 HTTP/1.1\r\nHost: h\r\nCookie: __Host-hauberk=abc\r\n\r\n",
    (
        b"GET /api/v1/workloads?limit=5&cursor=abc HTTP/1.1\r\nHost: h\r\n"
        b"Authorization: Bearer hbt_abc\r\nAccept: */*\r\n\r\n"
    ),
)


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        (b"2\r\n{}\r\n0\r\n\r\n", {400, 401}),
        (b"2;ext=1\r\n{}\r\n0\r\n\r\n", {400, 401}),
        (b"zz\r\n{}\r\n0\r\n\r\n", {400}),
        (b"FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n", {400}),
    ],
)
def test_chunks(port: int, chunks: bytes, code: set[int]) -> None:
    got = statuses(talk(port, post(b"Transfer-Encoding: chunked\r\n", chunks)))
    assert len(got) <= 1
    assert not got or got[0] in code


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", "PUT", "DELETE", "PROPFIND", "OPTIONS", "HEAD", "get", "FOO"]
)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/me", "/", "*", "h:443"])
def test_odd_methods_do_nothing(port: int, method: str, path: str) -> None:
    out = talk(
        port,
        f"{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Echo: secret\r\n\r\n".encode(),
    )
    assert all(code < 500 for code in statuses(out)), out[:300]
    assert b"secret" not in out  # TRACE would give headers back


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Host: \r\n",
        b"Host: a\r\nHost: b\r\n",
        b"Host: evil.example\r\nX-Forwarded-Host: x\r\nX-Forwarded-For: 1.2.3.4\r\n",
        b"Host: " + b"a" * 5000 + b"\r\n",
        b"Host: h\r\nCookie: " + b"a=b; " * 2000 + b"\r\n",
        b"Host: h\r\nAuthorization: Bearer \xff\xfe\r\n",
        b"Host: h\r\nCookie: __Host-hauberk=\xff\xfe\r\n",
        b"Host: h\r\nX-Hauberk-Tenant: ../../etc\r\n",
        b"Host: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n",
        b"Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n",
        b"Host: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n",
        b"Host: h\r\nRange: bytes=0-99999999999999999999\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/api/v1/me", b"/", b"/healthz"])
def test_odd_heads_are_answered_without_a_failure(port: int, head: bytes, path: bytes) -> None:
    out = talk(port, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n" + head + b"\r\n")
    assert all(code < 500 for code in statuses(out)), out[:400]
    for told in (b"evil.example", b"1.2.3.4", b"Traceback", b"uvicorn", b"litestar"):
        assert told not in out


@pytest.mark.parametrize(
    "path",
    [b"/%00", b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"//etc/passwd", b"/\xff",
     b"/assets/..%2f..%2f..%2fetc/passwd", b"http://other/healthz", b"/api/v1/me?\xff=%ff",
     b"/api/v1//me", b"/api/v1/workloads/%2e%2e%2fusers", b"/" + b"a" * 60_000],
)  # fmt: skip
def test_odd_paths(port: int, path: bytes) -> None:
    out = talk(port, b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert all(code < 500 for code in statuses(out)), out[:400]
    assert b"root:" not in out


def test_damaged_requests_leave_the_server_well(port: int) -> None:
    rng = random.Random(5)
    samples = [GOOD, post(b"Content-Length: 2\r\n", b"{}"), *SHAPES]
    for _ in range(150):
        data = fuzzkit.damaged(rng, samples)
        out = talk(port, data, wait_s=0.05)
        assert all(code < 500 for code in statuses(out)), (data, out[:300])
    assert statuses(talk(port, GOOD)) == [200]


def test_no_banner(port: int) -> None:
    head = talk(port, GOOD).partition(b"\r\n\r\n")[0].lower()
    assert b"200" in head
    assert b"\r\nserver:" not in head
    assert b"x-powered-by" not in head


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    assert statuses(
        talk(port, GOOD * 3 + b"GET /api/v1/me HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    ) == [
        200,
        200,
        200,
        401,
    ]
