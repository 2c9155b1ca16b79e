"""The console's built files, with headers that keep the page to its own origin."""

from __future__ import annotations

import mimetypes
from pathlib import Path, PurePosixPath
from typing import Any

from anyio.to_thread import run_sync
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from hauberk.api.context import Context, Ctx

_HOW = """The console is not built into this installation.

Build it with `make console` (needs Node.js and npm), then restart the server,
or install a wheel that carries it. API and command line work without it:
the API's description is at /schema/openapi.json.
"""
# With an own certificate only: with one of Hauberk's CA, browsers would turn the warning that
# people can pass into one that they cannot.
HSTS = "max-age=31536000"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_RESERVED = ("api/", "schema/", "v1/")
_STATIC = frozenset({".js", ".css", ".map", ".svg", ".png", ".ico", ".woff", ".woff2", ".json"})


@get("/", opt={"role": "public"}, include_in_schema=False)
async def index(ctx: Ctx, request: Request[Any, Any, Any]) -> Response[Any]:
    """The console's page."""
    return await run_sync(_serve, ctx, request, "")


@get("/{path:path}", opt={"role": "public"}, include_in_schema=False)
async def console(ctx: Ctx, request: Request[Any, Any, Any], path: FromPath[str]) -> Response[Any]:
    """A file of the console, else its page (the routes inside it are the browser's)."""
    return await run_sync(_serve, ctx, request, path)


def _serve(ctx: Context, request: Request[Any, Any, Any], path: str) -> Response[Any]:
    relative = path.lstrip("/")
    if not (ctx.static / "index.html").is_file():
        if relative:
            raise NotFoundException(detail=f"nothing at /{relative[:200]}")
        return Response(_HOW, media_type="text/plain")
    file = find(ctx, relative)
    if file is None:
        # A page that is not there is the browser's own route; a script that is not there is a 404.
        if relative.startswith(_RESERVED) or PurePosixPath(relative).suffix in _STATIC:
            raise NotFoundException(detail=f"nothing at /{relative[:200]}")
        return _file(ctx.static / "index.html", request, immutable=False)
    return _file(file, request, immutable=relative.startswith("assets/"))


def find(ctx: Context, relative: str) -> Path | None:
    """The file below the static folder, or None; never one outside it."""
    pure = PurePosixPath(relative)
    if not relative or pure.is_absolute() or ".." in pure.parts or "\0" in relative:
        return None
    root = ctx.static.resolve()
    file = (root / pure).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


def _file(file: Path, request: Request[Any, Any, Any], *, immutable: bool) -> Response[bytes]:
    stat = file.stat()
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    # Vite puts a hash of the content into every name below assets/.
    caching = "public, max-age=31536000, immutable" if immutable else "no-cache"
    headers = {"ETag": tag, "Cache-Control": caching}
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, headers=headers)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Response(file.read_bytes(), media_type=kind, headers=headers)


ROUTES = (index, console)
