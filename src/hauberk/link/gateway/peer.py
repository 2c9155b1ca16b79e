"""The client certificate of a TLS connection, handed to the application in the ASGI scope."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hauberk.link.gateway.bounds import network_of

PEER = "hauberk.peer"
"""Key in `scope["extensions"]`: the certificate's DER bytes, or None."""

# Several times what one read gives, since a read may hold the head and much of the body.
MAX_HEAD = 1024 * 1024
# A request's head, and then its body, must be whole within these; the gateway answers sooner.
HEAD_S, BODY_S = 20.0, 90.0
# A long body (an agent package) has that time anew for each so many bytes.
BODY_PART = 4 * 1024 * 1024
# Of a listener's places, one address without a certificate has at most a quarter.
LEAST_PLACES, PLACES_PART = 16, 4
_places: WeakKeyDictionary[ServerState, Counter[str]] = WeakKeyDictionary()
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: `identity.read_certificate` checks the times, and answers.
_NO_CHECK_TIME = 0x200000


class PeerProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the certificate in the scope, and without waiting at shutdown."""

    _der: bytes | None = None
    _network = ""  # who is counted for this connection
    _head = 0  # bytes of the request's head so far, -1 in the body
    _part = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate once per connection."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._der = None if tls is None else tls.getpeercert(True)  # noqa: FBT003
        self._expect(HEAD_S)
        if self._der is None:
            self._take_place()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        self._expect(None)
        if self._network:
            held = _places[self.server_state]
            held[self._network] -= 1
            if not held[self._network]:
                del held[self._network]
            self._network = ""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """End a connection whose request head never ends: the parser would keep all of it."""
        if self._head >= 0:
            if self._deadline is None:
                self._expect(HEAD_S)
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.transport.abort()
                return
        else:
            self._part += len(data)
            if self._part >= BODY_PART:
                self._part = 0
                self._expect(BODY_S)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head, self._part = -1, 0
        self._expect(BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may come."""
        self._head = 0
        self._expect(None)
        super().on_message_complete()

    def shutdown(self) -> None:
        """End an idle connection at once: a peer that sleeps answers no TLS goodbye."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.transport.get_write_buffer_size() == 0:
            self.transport.abort()
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        """Put it into the scope of each request."""
        self._expect(HEAD_S)
        super().on_message_begin()
        self.scope["extensions"] = {PEER: self._der}  # type: ignore[dict-item]

    def _take_place(self) -> None:
        """Count a connection of a stranger; end it when its address has too many."""
        limit = self.config.limit_concurrency
        if not limit or not self.client:
            return
        network = network_of(self.client[0])
        held = _places.setdefault(self.server_state, Counter())
        if held[network] >= max(LEAST_PLACES, limit // PLACES_PART):
            self.transport.abort()
            return
        held[network] += 1
        self._network = network

    def _expect(self, seconds: float | None) -> None:
        """End the connection unless what is awaited comes in time: a slow peer costs a place."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = (
            None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
        )


def server_context(
    certificate: Path, key: Path, *, client_ca: Path | None = None
) -> ssl.SSLContext:
    """TLS 1.2+ of a listening side; with `client_ca` agents may show a certificate of that CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(client_ca)
        context.verify_flags |= _NO_CHECK_TIME
    return context
