"""The API as the command line reaches it.

HAUBERK_URL and HAUBERK_TOKEN name a server elsewhere (HAUBERK_CA: its CA certificate); without
them root's command line uses the local socket of the data folder.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from hauberk.cli import _data
from hauberk.errors import BadInput, Forbidden, Permanent, Unauthenticated, Unreachable
from hauberk.schema.view import Failure

T = TypeVar("T")
_BASE = "/api/v1"


class Client:
    """A connection to one server's API.

    Args:
        data: data folder whose local socket is used when HAUBERK_URL is not set.
        tenant: for the local socket only: act in this tenant.
    """

    def __init__(self, data: Path | None = None, *, tenant: str | None = None) -> None:
        self._headers: dict[str, str] = {}
        self._socket: str | None = None
        self._trust: ssl.SSLContext | bool = True
        if url := os.environ.get("HAUBERK_URL"):
            token = os.environ.get("HAUBERK_TOKEN")
            if not token:
                raise Unauthenticated(
                    "HAUBERK_URL is set but HAUBERK_TOKEN is not: make one in the console under "
                    "Settings, or with `hauberk tokens new` on the server"
                )
            self._headers["Authorization"] = f"Bearer {token}"
            self._base = self.where = url.rstrip("/")
            if ca := os.environ.get("HAUBERK_CA"):
                self._trust = _trust(ca)
            return
        socket = _data.socket_path(_data.data_dir(data))
        self._base, self.where, self._socket = "http://local", str(socket), str(socket)
        if not socket.exists():
            raise Unreachable(
                f"no server here ({socket} is missing): start it with `hauberk up`, "
                "or set HAUBERK_URL and HAUBERK_TOKEN"
            )
        if tenant:
            self._headers["X-Hauberk-Tenant"] = tenant

    def get(self, path: str, kind: type[T], **params: Any) -> T:
        """GET and decode."""
        return self._decode(self._send("GET", path, params=_clean(params)), kind)

    def send(self, method: str, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        """Any other method, with a Struct as the body."""
        content = msgspec.json.encode(body) if body is not None else None
        return self._decode(self._send(method, path, content=content), kind)

    def upload(
        self, path: str, kind: type[T], chunks: Iterator[bytes], size: int, **params: Any
    ) -> T:
        """POST bytes, `size` of them in all, as they come."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        reply = self._send(
            "POST", path, params=_clean(params), content=chunks, headers=headers, timeout_s=900
        )
        return self._decode(reply, kind)

    def delete(self, path: str) -> None:
        """DELETE."""
        self._send("DELETE", path)

    def pages(
        self, path: str, kind: type[T], *, limit: int | None = None, **params: Any
    ) -> Iterator[T]:
        """Every item of a list, page by page, at most `limit`."""
        cursor: str | None = None
        left = limit
        while True:
            size = 500 if left is None else min(left, 500)
            raw = self.get(path, dict[str, Any], limit=size, cursor=cursor, **params)
            for item in msgspec.convert(raw["items"], list[kind], strict=False):  # type: ignore[valid-type]
                yield item
                if left is not None:
                    left -= 1
            cursor = raw.get("next")
            if not cursor or left == 0:
                return

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 60,
    ) -> httpx.Response:
        kind = {"Content-Type": "application/json"} if content else {}
        headers = self._headers | kind | (headers or {})
        transport = httpx.HTTPTransport(uds=self._socket, verify=self._trust)
        try:
            # One connection a request: a command makes few, and none is left open.
            with httpx.Client(transport=transport, base_url=self._base, timeout=timeout_s) as http:
                reply = http.request(
                    method, _BASE + path, params=params, content=content, headers=headers
                )
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.where} does not answer: {error}") from error
        if reply.is_success:
            return reply
        raise _failure(reply)

    def _decode(self, reply: httpx.Response, kind: type[T]) -> T:
        if kind is type(None) or not reply.content:
            return None  # type: ignore[return-value]
        try:
            return msgspec.json.decode(reply.content, type=kind)
        except msgspec.DecodeError as error:
            raise Permanent(
                f"{self.where} answered something else: {error}; "
                "are both sides of the same version?"
            ) from error


def _clean(params: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in params.items() if v is not None}


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise BadInput(f"no CA certificate can be read: {error}", source=ca) from error


def _failure(reply: httpx.Response) -> Exception:
    try:
        message = msgspec.json.decode(reply.content, type=Failure).message
    except msgspec.DecodeError:
        message = f"{reply.status_code} {reply.reason_phrase}"
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        return Unauthenticated(message)
    return Forbidden(message) if reply.status_code == httpx.codes.FORBIDDEN else Permanent(message)
