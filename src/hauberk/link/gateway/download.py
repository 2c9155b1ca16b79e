"""Sends agent packages in pieces, resumable, from a file that is never held in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from hauberk.errors import BadInput, Busy

# One answer to a range has at most this many bytes; Content-Range says where it ends.
MAX_RANGE = 4 * 1024 * 1024
CHUNK = 256 * 1024
# A peer must take a chunk within this time.
SEND_TIMEOUT_S = 60.0
WAIT_S = 20.0
_RANGE = re.compile(r"bytes=([0-9]{1,15})-([0-9]{0,15})")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class OutOfRange(BadInput):
    """The range begins behind the end."""


class Downloads:
    """At most `limit` answers at once; others wait a while for their turn."""

    def __init__(self, limit: int) -> None:
        self._turns = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises Busy."""
        try:
            await asyncio.wait_for(self._turns.acquire(), WAIT_S)
        except TimeoutError as error:
            raise Busy("too many downloads at once: wait", retry_after=15.0) from error
        try:
            yield
        finally:
            self._turns.release()


def digest_in(path: str, prefix: str) -> str:
    """The SHA-256 that a path ends with. Raises BadInput."""
    digest = path.removeprefix(prefix)
    if not _SHA256.fullmatch(digest):
        raise BadInput("not a SHA-256 in lower case hex digits", source=prefix)
    return digest


def piece(headers: Headers, size: int) -> tuple[int, int, bool]:
    """(first byte, bytes, whether it is a part) that a request asks for.

    A range that cannot be understood is passed over, as HTTP wants it.

    Raises:
        OutOfRange: it begins behind the end.
    """
    asked = next((value.decode("latin-1") for name, value in headers if name == b"range"), "")
    found = _RANGE.fullmatch(asked.strip())
    if found is None:
        return 0, size, False
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return 0, size, False
    if first >= size:
        raise OutOfRange(f"it has {size} bytes only", source="range")
    return first, min(last + 1, size, first + MAX_RANGE) - first, True


async def send_file(
    receive: Receive, send: Send, file: BinaryIO, size: int, headers: Headers
) -> None:
    """Answer a request with the file or a piece of it. The caller closes the file.

    It ends early when the peer has left.

    Raises:
        OutOfRange: before anything was sent.
        TimeoutError, OSError: in the middle: the connection must end.
    """
    first, left, part = piece(headers, size)
    if first:
        await asyncio.to_thread(file.seek, first)
    answer: Headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(left).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if part:
        answer.append((b"content-range", f"bytes {first}-{first + left - 1}/{size}".encode()))
    await send({"type": "http.response.start", "status": 206 if part else 200, "headers": answer})
    gone = asyncio.create_task(_disconnect(receive))
    try:
        await _send_rest(send, file, left, gone)
    finally:
        gone.cancel()


async def _send_rest(send: Send, file: BinaryIO, left: int, gone: asyncio.Task[None]) -> None:
    while left and not gone.done():
        chunk = await asyncio.to_thread(file.read, min(CHUNK, left))
        if not chunk:
            raise OSError("the package's file is shorter than it was")
        left -= len(chunk)
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
