"""Server-sent events: what changes, as it changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from anyio.to_thread import run_sync
from litestar import Request, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Stream

from hauberk.api import params
from hauberk.api.context import Context, Ctx, Identity, Who
from hauberk.api.identity import authenticate
from hauberk.errors import BadInput, Busy
from hauberk.ingest.feed import TOPICS
from hauberk.schema.view import Notice
from hauberk.store.query import plain

HEARTBEAT_S = 5.0
MAX_STREAMS = 64
_ALL = ",".join(TOPICS)
Topics = Annotated[
    str, QueryParameter(name="topics", max_length=200, description=f"of {', '.join(TOPICS)}")
]


class Streams:
    """Open streams per tenant, so that one tenant cannot take all connections."""

    def __init__(self, limit: int = MAX_STREAMS) -> None:
        self._open: Counter[str] = Counter()
        self._readers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._limit = limit

    def check(self, tenant: str) -> None:
        """Raises Busy when the tenant has as many as it may."""
        if self._open[tenant] >= self._limit:
            raise Busy(f"{self._limit} live streams are open already: close a tab", retry_after=10)

    def enter(self, tenant: str) -> None:
        """Count one in."""
        self._open[tenant] += 1

    def over(self, tenant: str) -> bool:
        """Whether more are in than may be: several passed `check` at once."""
        return self._open[tenant] > self._limit

    def count(self, tenant: str) -> int:
        """How many are open."""
        return self._open[tenant]

    def leave(self, tenant: str) -> None:
        """Count one out."""
        self._open[tenant] -= 1

    @contextmanager
    def closing(self) -> Iterator[asyncio.Event]:
        """An event of this loop that `close` sets."""
        reader = (asyncio.get_running_loop(), asyncio.Event())
        self._readers.add(reader)
        try:
            yield reader[1]
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """End all streams, from any thread: a server that stops need not wait for them."""
        for loop, event in list(self._readers):
            loop.call_soon_threadsafe(event.set)


@get(
    "/stream",
    opt={"role": "viewer"},
    media_type="text/event-stream",
    responses={
        200: ResponseSpec(
            Notice,
            description="one Notice per SSE message",
            media_type="text/event-stream",
            generate_examples=False,
        )
    },
)
async def open_stream(
    ctx: Ctx,
    who: Who,
    request: Request[Any, Any, Any],
    *,
    topics: Topics = _ALL,
    include_self: params.IncludeSelf = False,
) -> Stream:
    """Notices of the tenant, and every 5 s a `heartbeat` with the server's time in ms."""
    wanted = [t for t in topics.split(",") if t]
    for topic in wanted:
        if topic not in TOPICS:
            raise BadInput(f"no topic {topic!r}; known: {', '.join(TOPICS)}", source="topics")
    request.app.state.streams.check(who.tenant)
    return Stream(
        _messages(ctx, who, request, wanted, include_self=include_self),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _messages(
    ctx: Context,
    who: Identity,
    request: Request[Any, Any, Any],
    topics: list[str],
    *,
    include_self: bool,
) -> AsyncIterator[bytes]:
    streams: Streams = request.app.state.streams
    pending: asyncio.Task[Notice] | None = None
    ended: asyncio.Task[bool] | None = None
    # Counted here, not in the route: a reader that left before the first byte never gets here.
    streams.enter(who.tenant)
    try:
        if streams.over(who.tenant):
            return
        with streams.closing() as closed:
            ended = asyncio.ensure_future(closed.wait())
            async with ctx.feed.subscribe(who.tenant, topics) as notices:
                yield heartbeat(ctx.now_ms())
                clock = asyncio.get_running_loop().time
                beat = clock() + HEARTBEAT_S
                while not closed.is_set():
                    if pending is None:
                        pending = asyncio.ensure_future(anext(notices))
                    await asyncio.wait(
                        {pending, ended},
                        timeout=max(0.0, beat - clock()),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if pending.done():
                        notice = shown(pending.result(), include_self=include_self)
                        pending = None
                        if notice is not None:
                            yield message(notice)
                    if clock() >= beat:
                        # A session that ended, or a disabled user, must not go on listening.
                        if not await run_sync(_still, ctx, who, request):
                            return
                        yield heartbeat(ctx.now_ms())
                        beat = clock() + HEARTBEAT_S
    finally:
        for task in (pending, ended):
            if task is not None:
                task.cancel()
        streams.leave(who.tenant)


def _still(ctx: Context, who: Identity, request: Request[Any, Any, Any]) -> bool:
    if who.local:
        return True
    now = authenticate(ctx, request)
    return isinstance(now, Identity) and (now.tenant, now.name) == (who.tenant, who.name)


def shown(notice: Notice, *, include_self: bool) -> Notice | None:
    """The notice as this reader sees it: `plain` integers, own events only if asked for."""
    if notice.topic != "events":
        return notice
    rows = [
        msgspec.structs.replace(row, fields={k: plain(v) for k, v in row.fields.items()})
        for row in notice.events
        if include_self or not row.fields.get("is_self")
    ]
    return msgspec.structs.replace(notice, events=rows) if rows else None


def message(notice: Notice) -> bytes:
    """One SSE message; JSON has no raw newline, so one data line carries it."""
    return b"event: notice\ndata: " + msgspec.json.encode(notice) + b"\n\n"


def heartbeat(now_ms: int) -> bytes:
    """The server's time, so that the client can show how old its data is."""
    return b"event: heartbeat\ndata: " + str(now_ms).encode() + b"\n\n"


ROUTES = (open_stream,)
