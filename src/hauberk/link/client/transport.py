"""HTTPS to the gateway with the agent's certificate; one kept-alive connection.

http.client instead of a larger library: importing one costs a sixth of the agent's private memory.
Every call is idempotent on the server, so a connection that the server closed meanwhile is opened
anew and the call sent once more.
"""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from hauberk.errors import BadInput, Busy, Refused, Unreachable
from hauberk.link.client.identity import Identity
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.link import (
    BatchReply,
    Beat,
    BeatReply,
    Refusal,
    RotateReply,
    RotateRequest,
    TaskResult,
)

CONTENT_TYPE = "application/msgpack"
MAX_REPLY = 4 * 1024 * 1024
DEFAULT_TIMEOUT_S = 30.0
# How a connection that the peer closed meanwhile shows itself at its next use.
_CLOSED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
T = TypeVar("T")
_refusal = msgspec.msgpack.Decoder(Refusal)
_encoder = msgspec.msgpack.Encoder()
_log = logging.getLogger(__name__)


class GatewayRefused(Refused):
    """The gateway said no for good: `refusal.code` is "enrol" or "drop"."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Channel:
    """One HTTPS connection to `url`, with keep-alive. Not for two threads at once."""

    def __init__(
        self, url: str, context: ssl.SSLContext, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        """Connects on first use.

        Raises:
            BadInput: `url` is not https://host[:port].
        """
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise BadInput(f"{url!r} is not https://HOST[:PORT]", source="url")
        self.url = url
        self.bytes_out = 0
        self._prefix = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or 443
        self._context, self._timeout = context, timeout_s
        self._connection: http.client.HTTPSConnection | None = None
        self._aborted = False

    def call(
        self, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """One exchange; the body of a 2xx answer.

        Raises:
            Unreachable: no answer, or one that is not the gateway's.
            Busy: "later", with the gateway's `retry_after`.
            GatewayRefused: "enrol" or "drop".
        """
        reused = self._connection is not None
        try:
            return self._exchange(method, path, body, headers or {})
        except _CLOSED as error:
            self.close()
            if not reused or self._aborted:
                raise Unreachable(f"{self.url} closed the connection: {error}") from error
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise Unreachable(
                f"{self.url} is not the server of our enrolment, or its CA has expired"
                f" ({error.verify_message}): look at both clocks; else enrol anew"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self.url} does not answer: {error}") from error
        try:
            return self._exchange(method, path, body, headers or {})
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self.url} does not answer: {error}") from error

    def close(self) -> None:
        """Close the connection; the next call opens one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abort(self) -> None:
        """From another thread, when all ends: the call in progress ends as Unreachable."""
        self._aborted = True
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                _log.debug("link: nothing to abort: %s", error)

    def _exchange(self, method: str, path: str, body: bytes, more: Mapping[str, str]) -> bytes:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._context
            )
        headers = {**more, **({"content-type": CONTENT_TYPE} if body else {})}
        self._connection.request(method, self._prefix + path, body or None, headers)
        self.bytes_out += len(body)
        with self._connection.getresponse() as response:
            answer = response.read(MAX_REPLY + 1)
            status, later = response.status, response.headers.get("retry-after", "")
        if len(answer) > MAX_REPLY:
            self.close()
            raise Unreachable(f"{self.url}{path}: answer over {MAX_REPLY} bytes")
        if 200 <= status < 300:
            return answer
        raise _refused(f"{self.url}{path}", status, answer, later)


def _refused(where: str, status: int, answer: bytes, later: str) -> Busy | GatewayRefused:
    try:
        refusal = _refusal.decode(answer)
    except UNDECODABLE:
        # A proxy or another server spoke: nothing may be dropped on its word.
        wait = float(later) if later.isascii() and later.isdigit() else 30.0
        return Busy(f"{where}: HTTP {status}, not from a gateway", retry_after=wait)
    if refusal.code == "later":
        return Busy(f"{where}: {refusal.message}", retry_after=refusal.retry_after)
    return GatewayRefused(refusal)


def verified_context(ca_pem: bytes) -> ssl.SSLContext:
    """TLS 1.2+ that trusts exactly `ca_pem` and checks the host name.

    Raises:
        BadInput: not a PEM certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise BadInput(f"not a CA certificate: {error}", source="ca") from error
    return context


class Transport:
    """The gateway's routes, as calls. One thread uses it."""

    def __init__(
        self,
        identity: Identity,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        accepted: Callable[[], None] = lambda: None,
    ) -> None:
        """`accepted` is called after each beat that the server took.

        Raises:
            BadInput: the identity's files don't belong together.
        """
        self._accepted = accepted
        context = verified_context(identity.ca)
        try:
            context.load_cert_chain(identity.certificate_file, identity.key_file)
        except (ssl.SSLError, OSError) as error:
            raise BadInput(
                f"certificate and key don't serve TLS ({error}); enrol anew",
                source=str(identity.folder),
            ) from error
        self._channel = Channel(identity.ids.url, context, timeout_s=timeout_s)

    @property
    def bytes_out(self) -> int:
        """Body bytes sent so far."""
        return self._channel.bytes_out

    def beat(self, beat: Beat) -> BeatReply:
        """POST /v1/beat. Raises as `Channel.call`."""
        reply = self._post("/v1/beat", _encoder.encode(beat), BeatReply)
        self._accepted()
        return reply

    def batch(self, envelope: bytes) -> BatchReply:
        """POST /v1/batch; on return the batch is durable on the server."""
        return self._post("/v1/batch", envelope, BatchReply)

    def result(self, result: TaskResult) -> None:
        """POST /v1/result."""
        self._channel.call("POST", "/v1/result", _encoder.encode(result))

    def rotate(self, request: RotateRequest) -> RotateReply:
        """POST /v1/rotate."""
        return self._post("/v1/rotate", _encoder.encode(request), RotateReply)

    def package(self, sha256: str, offset: int, limit: int) -> bytes:
        """GET /v1/package/<sha256>: 1 to `limit` (at most MAX_REPLY) bytes at `offset`."""
        headers = {"range": f"bytes={offset}-{offset + limit - 1}"}
        data = self._channel.call("GET", f"/v1/package/{sha256}", headers=headers)
        if not 0 < len(data) <= limit:
            raise Unreachable(f"/v1/package: {len(data)} bytes came where {limit} were asked for")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def abort(self) -> None:
        """From another thread: a call in progress ends as Unreachable."""
        self._channel.abort()

    def _post(self, path: str, body: bytes, kind: type[T]) -> T:
        return decode_reply(self._channel.call("POST", path, body), kind, path)


def decode_reply(answer: bytes, kind: type[T], where: str) -> T:
    """Decode a 2xx body. Raises Unreachable when it is not `kind`: nothing counts as accepted."""
    try:
        return msgspec.msgpack.decode(answer, type=kind)
    except UNDECODABLE as error:
        raise Unreachable(f"{where}: answer is not {kind.__name__}: {error}") from error
