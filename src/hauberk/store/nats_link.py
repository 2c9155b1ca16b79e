"""One connection to NATS, on an event loop in a thread of its own, for callers in any thread.

Who has waited too long hears `Unreachable`; the connection is tried again for ever. What other
processes of this deployment publish is given to `listen`; one's own messages do not come back.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from hauberk.errors import BadInput, HauberkError, Unreachable

CONNECT_S = 20.0
CALL_S = 10.0
_log = logging.getLogger(__name__)
T = TypeVar("T")
Listener = Callable[[str, bytes], None]
"""(subject, payload), on the connection's thread; must not block."""


def servers_of(text: str) -> list[str]:
    """The URLs of a setting such as ``nats://user:password@one:4222,nats://two:4222``.

    User and password of the first are used for those that have none. Raises BadInput.
    """
    found: list[str] = []
    login = ""
    for part in filter(None, (p.strip() for p in text.split(","))):
        try:
            url = urlsplit(part)
            port = url.port or 4222
        except ValueError as error:
            raise BadInput(f"{_shown(part)} is no URL: {error}", source="inbox") from error
        if url.scheme not in ("nats", "tls") or not url.hostname or url.path or url.query:
            raise BadInput(
                f"{_shown(part)}: write nats://HOST:PORT or tls://HOST:PORT", source="inbox"
            )
        own, at, _ = url.netloc.rpartition("@")
        login = own if at else login
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        found.append(f"{url.scheme}://{login}{'@' if login else ''}{host}:{port}")
    if not found:
        raise BadInput("no server is named: write nats://HOST:PORT", source="inbox")
    return found


class NatsLink:
    """A connection. Every method may be called from any thread."""

    def __init__(
        self, servers: list[str], *, name: str, credentials: str = "", ca: str = ""
    ) -> None:
        """Connect.

        Args:
            servers: from `servers_of`; any of a cluster.
            name: of this process, as NATS shows it.
            credentials: path of a NATS credentials file.
            ca: path of a PEM file with the CA of the servers.

        Raises:
            BadInput: a file cannot be used, or NATS refuses the credentials.
            Unreachable: no server answers.
        """
        self._where = ", ".join(server.rpartition("@")[2].rpartition("/")[2] for server in servers)
        options: dict[str, Any] = {"servers": servers, "name": name, "no_echo": True}
        for path in filter(None, (credentials, ca)):
            if not Path(path).is_file():
                raise BadInput("is not there or no file", source=path)
        if credentials:
            options["user_credentials"] = credentials
        if ca:
            options["tls"] = _context(ca)
        self._closed = self._closing = False
        self._telling: set[asyncio.Task[None]] = set()
        self._nc = Client()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)
        self._thread.start()
        try:
            self.call(self._connect(options), timeout_s=CONNECT_S + 5)
        except BaseException:
            self._end()
            raise

    @property
    def js(self) -> JetStreamContext:
        """JetStream; only on the connection's loop."""
        return self._js

    @property
    def max_payload(self) -> int:
        """Bytes that one message may have."""
        return int(self._nc.max_payload)

    @property
    def connected(self) -> bool:
        """Whether a server is connected now."""
        return bool(self._nc.is_connected)

    def need(self) -> None:
        """Raise Unreachable unless a server is connected now."""
        if not self.connected:
            raise Unreachable(f"NATS ({self._where}) does not answer", retry_after=2.0)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it on the connection's loop."""
        if self._closed:
            work.close()
            raise Unreachable("the connection to NATS is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, T], *, timeout_s: float = CALL_S) -> T:
        """Run it on the connection's loop and wait. Not from that loop.

        Raises:
            Unreachable: no answer within the time, or a NATS error.
        """
        future = self.start(work)
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            future.cancel()
            raise self.translate(error) from error
        except (NatsError, OSError) as error:
            raise self.translate(error) from error

    def soon(self, work: Callable[..., object], *arguments: object) -> None:
        """Call it on the connection's loop."""
        self._loop.call_soon_threadsafe(work, *arguments)

    def later(self, delay_s: float, work: Callable[[], object]) -> None:
        """Call it on the connection's loop after a while."""
        self._loop.call_soon_threadsafe(self._loop.call_later, delay_s, work)

    def tell(self, subject: str, payload: bytes) -> None:
        """Publish without an answer; lost where NATS is not reachable. Never blocks."""
        if self._closed or not self.connected:
            return
        self._loop.call_soon_threadsafe(self._tell, subject, payload)

    def listen(self, subject: str, hear: Listener) -> None:
        """Give messages of a subject to `hear`, from now on. Raises Unreachable."""

        async def heard(message: Msg) -> None:
            try:
                hear(message.subject, message.data)
            except HauberkError as error:
                _log.warning("nats: a message on %s: %s", message.subject, error)

        self.call(self._listen(subject, heard))

    def translate(self, error: BaseException) -> HauberkError:
        """A failure of NATS as ours."""
        text = str(error) or type(error).__name__
        return Unreachable(f"NATS ({self._where}): {text}", retry_after=2.0)

    def close(self) -> None:
        """End; again is fine."""
        if self._closed:
            return
        self._closing = True
        try:
            self.call(self._nc.close(), timeout_s=5.0)
        except Unreachable as error:
            _log.warning("nats: %s", error)
        self._end()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end(self) -> None:
        self._closed = True
        try:
            stopped = asyncio.run_coroutine_threadsafe(self._settle(), self._loop)
            stopped.result(5.0)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
            self._loop.close()

    async def _settle(self) -> None:
        rest = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _connect(self, options: dict[str, Any]) -> None:
        refused = asyncio.Event()

        async def failed(error: Exception) -> None:
            text = str(error) or type(error).__name__
            _log.warning("nats: %s", text)
            if "authorization" in text.lower():
                refused.set()

        async def gone() -> None:
            if not self._closing:
                _log.warning("nats: connection to %s lost", self._where)

        async def back() -> None:
            _log.info("nats: connected again")

        connecting = asyncio.ensure_future(
            self._nc.connect(
                **options,
                error_cb=failed,
                disconnected_cb=gone,
                reconnected_cb=back,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=3,
                ping_interval=5,
                max_outstanding_pings=2,
            )
        )
        refusing = asyncio.ensure_future(refused.wait())
        try:
            # Left alone it would try for ever.
            await asyncio.wait(
                (connecting, refusing), timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if connecting.done():
                connecting.result()
            elif refused.is_set():
                raise BadInput(f"NATS ({self._where}) refuses the credentials", source="inbox")
            else:
                raise Unreachable(f"NATS ({self._where}) does not answer", retry_after=5.0)
        finally:
            connecting.cancel()
            refusing.cancel()
        self._js = self._nc.jetstream(timeout=5.0)

    async def _listen(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
        await self._nc.subscribe(subject, cb=heard)
        await self._nc.flush()

    def _tell(self, subject: str, payload: bytes) -> None:
        task = self._loop.create_task(self._publish(subject, payload))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _publish(self, subject: str, payload: bytes) -> None:
        try:
            await self._nc.publish(subject, payload)
        except (NatsError, OSError) as error:
            _log.warning("nats: %s was not told: %s", subject, error)

    async def ask(self, subject: str, payload: bytes, *, timeout_s: float) -> list[Msg]:
        """All answers up to the one that says the end (on the loop). Raises nats errors."""
        inbox = self._nc.new_inbox()
        sub = await self._nc.subscribe(inbox)
        answers: list[Msg] = []
        try:
            await self._nc.publish(subject, payload, reply=inbox)
            while True:
                message = await sub.next_msg(timeout=timeout_s)
                answers.append(message)
                if message.headers and "Status" in message.headers:
                    return answers
        finally:
            await sub.unsubscribe()


def _shown(part: str) -> str:
    """Without a login: messages go to logs."""
    return repr(part.rpartition("@")[2])


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"is no PEM file with certificates: {error}", source=ca) from error
