"""Listening sockets, bound before privileges are dropped, and the servers on them."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from hauberk.errors import Conflict, Permanent
from hauberk.link.gateway.peer import PeerProtocol

BACKLOG = 1024
RESERVED_FILES = 512
LEAST_CONNECTIONS, PEOPLE = 64, 1024
GRACE_S = 3


def bind(host: str, port: int, *, option: str) -> socket.socket:
    """A listening TCP socket.

    Raises:
        Conflict: the port is taken.
        Permanent: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        what = f"{option} {host}:{port} cannot be used ({error.strerror})"
        mend = f"end what uses it (ss -ltnp), or choose another: --{option} {host}:{port + 10}"
        kind = Conflict if error.errno == 98 else Permanent
        raise kind(f"{what}: {mend}") from error
    listening.setblocking(False)  # noqa: FBT003
    return listening


def bind_all(*places: tuple[str, tuple[str, int]]) -> list[socket.socket]:
    """Listening sockets of all (option, (host, port)), or none. Raises as `bind`."""
    bound: list[socket.socket] = []
    try:
        for option, (host, port) in places:
            bound.append(bind(host, port, option=option))
    except Permanent:
        for one in bound:
            one.close()
        raise
    return bound


def bind_local(path: Path) -> socket.socket:
    """The local socket, for its owner (and root) alone; a stale one is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(BACKLOG)
    listening.setblocking(False)  # noqa: FBT003
    return listening


class Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `main`."""
        yield


def connections() -> tuple[int, int]:
    """Connections that the gateway, and each listener for people, may hold.

    The stores need descriptors too. Raises this process's soft limit of them to its hard one first.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    free = hard - RESERVED_FILES
    people = max(LEAST_CONNECTIONS, min(PEOPLE, free // 3))
    return max(LEAST_CONNECTIONS, free - 2 * people), people


def listener(
    app: Any,
    context: ssl.SSLContext | None,
    *,
    limit: int | None = None,
    lifespan: bool = False,
) -> Listener:
    """A server for `app`; a client certificate reaches it in the scope.

    Connections beyond `limit` are answered 503 and closed.
    """
    config = uvicorn.Config(
        app,
        http=PeerProtocol,
        ws="none",
        loop="uvloop",
        lifespan="on" if lifespan else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
        limit_concurrency=limit,
    )
    config.load()
    config.ssl = context
    return Listener(config)


async def serve(pairs: list[tuple[Listener, socket.socket]]) -> list[asyncio.Task[None]]:
    """Start all; returns once every one accepts."""
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in pairs]
    while not all(server.started for server, _ in pairs):
        for task in tasks:
            if task.done():
                await task
                raise Permanent("a listener ended at once: see the log")
        await asyncio.sleep(0.01)
    return tasks
