from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from hauberk.errors import BadInput, Busy
from hauberk.link.gateway import download
from hauberk.link.gateway.download import (
    MAX_RANGE,
    Downloads,
    OutOfRange,
    digest_in,
    piece,
    send_file,
)

DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", (0, 100, False)),
        ("bytes=0-9", (0, 10, True)),
        ("bytes=90-", (90, 10, True)),
        ("bytes=99-500", (99, 1, True)),
        ("bytes=9-3", (0, 100, False)),
        ("bytes=-5", (0, 100, False)),
        ("bytes=0-1,4-5", (0, 100, False)),
        ("items=0-1", (0, 100, False)),
        ("bytes=0-" + "9" * 30, (0, 100, False)),
    ],
)
def test_pieces(asked: str, expected: tuple[int, int, bool]) -> None:
    assert piece([(b"range", asked.encode())] if asked else [], 100) == expected


def test_pieces_are_bounded_and_within() -> None:
    assert piece([(b"range", b"bytes=5-")], 2**40) == (5, MAX_RANGE, True)
    with pytest.raises(OutOfRange):
        piece([(b"range", b"bytes=100-")], 100)


def test_digests() -> None:
    assert digest_in("/v1/package/" + "a" * 64, "/v1/package/") == "a" * 64
    for bad in ("", "A" * 64, "a" * 63, "../" + "a" * 61, "a" * 64 + "/x"):
        with pytest.raises(BadInput):
            digest_in("/v1/package/" + bad, "/v1/package/")


async def fetch(
    headers: list[tuple[bytes, bytes]], *, size: int = len(DATA), leaves_after: int = 0
) -> tuple[int, dict[bytes, bytes], bytes, int]:
    sent: list[dict[str, Any]] = []
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == leaves_after:
            left.set()
            await asyncio.sleep(0.01)

    await send_file(receive, send, io.BytesIO(DATA), size, headers)
    body = b"".join(m["body"] for m in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body, len(sent)


def test_whole_and_in_parts() -> None:
    status, headers, body, count = asyncio.run(fetch([]))
    assert (status, body, count) == (200, DATA, 5)
    assert headers[b"content-length"] == b"1048576"
    status, headers, body, _ = asyncio.run(fetch([(b"range", b"bytes=1000-1999")]))
    assert (status, body) == (206, DATA[1000:2000])
    assert headers[b"content-range"] == b"bytes 1000-1999/1048576"


def test_a_peer_that_leaves_ends_it() -> None:
    _, _, body, count = asyncio.run(fetch([], leaves_after=2))
    assert count < 5
    assert len(body) < len(DATA)


def test_a_file_that_shrank_ends_the_connection() -> None:
    with pytest.raises(OSError, match="shorter"):
        asyncio.run(fetch([], size=len(DATA) + 1))


def test_a_slow_peer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SEND_TIMEOUT_S", 0.01)

    async def run() -> None:
        async def stall(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(5)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(5)
            return {"type": "http.disconnect"}

        with pytest.raises(TimeoutError):
            await send_file(receive, stall, io.BytesIO(DATA), len(DATA), [])

    asyncio.run(run())


def test_turns_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAIT_S", 0.01)

    async def run() -> None:
        downloads = Downloads(1)
        async with downloads.turn():
            with pytest.raises(Busy):
                async with downloads.turn():
                    pass
        async with downloads.turn():
            pass

    asyncio.run(run())
