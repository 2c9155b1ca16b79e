"""Agent packages: what a fleet can be upgraded to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, BinaryIO, cast

from anyio import from_thread
from anyio.to_thread import run_sync
from litestar import Request, delete, get, post
from litestar.params import QueryParameter

from hauberk.api import params
from hauberk.api.auditing import audited
from hauberk.api.context import Context, Ctx, Identity, Who
from hauberk.errors import HauberkError
from hauberk.schema.view import Page
from hauberk.schema.view_fleet import PackageView
from hauberk.store.package_file import MAX_PACKAGE

Note = Annotated[str, QueryParameter(name="note", max_length=200, description="for people")]
MEDIA = "application/octet-stream"


class Upload:
    """A request's body as a file, read from a worker thread, chunk by chunk."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        """1 to `size` bytes; none at the end."""
        while not self._rest:
            chunk: bytes | None = from_thread.run(self._next)
            if chunk is None:
                return b""
            self._rest = chunk
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def _next(self) -> bytes | None:
        return await anext(self._chunks, None)


@get("/packages", opt={"role": "viewer"}, sync_to_thread=True)
def list_packages(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[PackageView]:
    """Agent packages, the newest first, with how many agents run each."""
    return ctx.packages.page(who.tenant, text=filter_, sort=sort, cursor=cursor, limit=limit)


@post("/packages", opt={"role": "admin", "body": MEDIA}, request_max_body_size=MAX_PACKAGE)
async def add_package(
    ctx: Ctx, who: Who, request: Request[Any, Any, Any], note: Note = ""
) -> PackageView:
    """Add a package: the body is the .tar.xz itself, as application/octet-stream."""
    return await run_sync(_add, ctx, who, Upload(request.stream()), note)


def _add(ctx: Context, who: Identity, upload: Upload, note: str) -> PackageView:
    try:
        got = ctx.packages.receive(who.tenant, cast(BinaryIO, upload))
    except HauberkError:
        with audited(ctx, who, "package.add"):
            raise
    manifest = got.manifest
    what = {"version": manifest.version, "sequence": manifest.sequence, "arch": manifest.arch}
    try:
        with audited(ctx, who, "package.add", got.sha256) as entry:
            entry.detail |= what
            ctx.packages.add(who.tenant, got, note=note, created_by=who.name)
    except HauberkError:
        ctx.packages.discard(who.tenant, got.sha256)
        raise
    return ctx.packages.view(who.tenant, got.sha256)


@delete("/packages/{sha256:str}", opt={"role": "admin"}, sync_to_thread=True)
def delete_package(ctx: Ctx, who: Who, sha256: params.PathId) -> None:
    """Forget a package that no rollout uses; agents that run it go on."""
    with audited(ctx, who, "package.delete", sha256):
        ctx.packages.delete(who.tenant, sha256)


ROUTES = (list_packages, add_package, delete_package)
