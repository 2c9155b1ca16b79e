"""The inbox on NATS JetStream: a stream per partition, acknowledged when a quorum has the batch.

Streams ``HAUBERK_INBOX_<p>`` on the subjects ``hauberk.inbox.<p>``; a workload's partition is a
hash of it. A message is msgpack of ``[tenant, workload, agent, boot, sequence, received_ns, digest,
body]``: names from outside do not belong into NATS headers. The message id is a hash of (agent,
boot, sequence), so that NATS refuses a repetition within `WINDOW_S`; later ones are told by marks
(`store.marks`). The number of partitions and the random name of each log are in the streams' own
metadata: a stream that was made anew is another log.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from hauberk.errors import BadInput, Busy, Conflict, HauberkError, StorageFull, Temporary
from hauberk.ports import InboxItem
from hauberk.store.nats_link import NatsLink
from hauberk.store.nats_log import NatsLog, pack, unpack

WINDOW_S = 600.0
REFRESH_S = 1.0
MAX_PARTITIONS = 64
# Envelope and frame.
NEED_PAYLOAD = 8 * 1024 * 1024 + 4096
_ACK_S = 5.0
_START_S = 30.0
_PARTS, _ID = "hauberk_partitions", "hauberk_id"
_EXISTS = 10058
_SHORT = (10023, 10028, 10047)
_FULL = 10077
_RUNNING = 10158
_log = logging.getLogger(__name__)


class NatsInbox:
    """`ports.Inbox` on a NATS server or cluster."""

    def __init__(
        self,
        link: NatsLink,
        *,
        partitions: int,
        replicas: int = 1,
        max_items: int = 200_000,
        max_bytes: int = 2 * 1024**3,
        window_s: float = WINDOW_S,
    ) -> None:
        """Open or make the streams.

        Args:
            link: the connection; not closed with the inbox.
            partitions: how many; fixed once the streams exist.
            replicas: servers that hold each batch.
            max_items: batches of all partitions together; over it agents have to wait.
            max_bytes: the same in bytes.
            window_s: seconds in which NATS itself knows a repetition.

        Raises:
            BadInput: the number of partitions is another one, or NATS allows too small messages.
            Unreachable: NATS does not answer.
        """
        if not 1 <= partitions <= MAX_PARTITIONS:
            raise BadInput(f"1 to {MAX_PARTITIONS} partitions", source="inbox_partitions")
        if link.max_payload < NEED_PAYLOAD:
            raise BadInput(
                f"NATS takes messages of {link.max_payload} bytes, an envelope may have"
                f" {NEED_PAYLOAD}: set max_payload: 9MB in its configuration",
                source="inbox",
            )
        self._link, self._partitions, self._replicas = link, partitions, replicas
        self._max_items = max(1, max_items // partitions)
        self._max_bytes = max(NEED_PAYLOAD, max_bytes // partitions)
        self._window_s = window_s
        self._refusing = self._closed = False
        # Why batches were refused last, and why the streams cannot be asked: each mends by itself.
        self._failing = self._mute = ""
        self._under_way: set[asyncio.Task[None]] = set()
        found = link.call(self._open(), timeout_s=_START_S + 5)
        self.logs = tuple(
            NatsLog(link, number, str((info.config.metadata or {})[_ID]), info)
            for number, info in enumerate(found)
        )
        link.listen("hauberk.arrived.*", self._arrived)
        self._refreshing = link.start(self._refresh())

    def partition(self, tenant: str, workload: str) -> int:
        """Which log the batches of a workload are in."""
        digest = hashlib.blake2b(f"{tenant}/{workload}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self._partitions

    def depth(self) -> tuple[int, int]:
        """(items, bytes) not yet trimmed, as of a second ago."""
        parts = [log.depth() for log in self.logs]
        return sum(items for items, _ in parts), sum(size for _, size in parts)

    def size(self) -> int:
        """Bytes in the streams, once."""
        return self.depth()[1]

    def wrong(self) -> str:
        """Why no batch is taken now, "" when they are."""
        if not self._link.connected:
            return "NATS does not answer: agents have to wait"
        for log in self.logs:
            items, size = log.depth()
            if items >= self._max_items or size >= self._max_bytes:
                return f"partition {log.name} holds {items} batches of {size} bytes: agents wait"
        return self._failing or self._mute

    def submit(self, items: Sequence[InboxItem]) -> Future[list[int | None]]:
        """`append` without waiting; the future fails as `append` raises."""
        future: Future[list[int | None]] = Future()
        if self._refusing:
            future.set_exception(Busy("the server is stopping", retry_after=10.0))
            return future
        try:
            self._link.need()
        except Temporary as error:
            future.set_exception(error)
            return future
        self._link.soon(self._submitted, list(items), future)
        return future

    def append(self, items: Sequence[InboxItem]) -> list[int | None]:
        """Store items durably; None marks one stored before.

        Items of several partitions are not stored all or nothing.

        Raises:
            Unreachable: no answer in time; perhaps stored, and the same may be given again.
            Busy: too deep. StorageFull: the servers have no room.
            Conflict: a sequence came before with other bytes.
        """
        return self.submit(items).result()

    def close_input(self) -> None:
        """Finish what is under way and take nothing more."""
        self._refusing = True
        deadline = time.monotonic() + _ACK_S + 1
        while self._under_way and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        """Finish what is under way and stop."""
        if self._closed:
            return
        self.close_input()
        self._closed = True
        self._refreshing.cancel()
        for log in self.logs:
            log.close()

    # -- on the connection's loop ------------------------------------------------------------------

    def _submitted(self, items: list[InboxItem], future: Future[list[int | None]]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        task = asyncio.get_running_loop().create_task(self._append(items, future))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _append(self, items: list[InboxItem], future: Future[list[int | None]]) -> None:
        outcomes = await asyncio.gather(*map(self._publish, items), return_exceptions=True)
        failed = [o for o in outcomes if isinstance(o, BaseException)]
        if failed:
            first = next((e for e in failed if not isinstance(e, HauberkError)), failed[0])
            future.set_exception(first)
        else:
            future.set_result([o for o in outcomes if not isinstance(o, BaseException)])

    async def _publish(self, item: InboxItem) -> int | None:
        log = self.logs[self.partition(item.tenant, item.workload)]
        key = msgspec.msgpack.encode([item.agent, item.boot, item.sequence])
        headers = {
            "Nats-Msg-Id": hashlib.blake2b(key, digest_size=16).hexdigest(),
            "Nats-Expected-Stream": log.stream,
        }
        try:
            ack = await self._link.js.publish(
                log.subject, pack(item), timeout=_ACK_S, headers=headers
            )
            if ack.duplicate:
                await self._compare(log, ack.seq, item)
                return None
        except (NatsError, OSError) as error:
            raise self._translate(error, log) from error
        self._failing = ""
        log.arrived(ack.seq)
        return int(ack.seq)

    async def _compare(self, log: NatsLog, position: int, item: InboxItem) -> None:
        try:
            stored = await self._link.js.get_msg(log.stream, seq=position)
        except NotFoundError:
            return  # consumed already: it was acknowledged, and only its key is known
        before = unpack(stored.data or b"", position)
        if _told(before) != _told(item):
            raise Conflict(
                f"sequence {item.sequence} of this boot came before with other bytes: "
                "two agents use one key, or a spool was restored"
            )

    def _translate(self, error: Exception, log: NatsLog) -> HauberkError:
        if isinstance(error, APIError):
            text = f"{log.stream}: {error.description or error}"
            if error.err_code == _FULL and "exceeded" in text:
                return Busy(f"{text}: wait", retry_after=15.0)
            if error.err_code in (_FULL, *_SHORT):
                self._failing = f"{text}: free space for the NATS servers"
                return StorageFull(self._failing, retry_after=30.0)
            if error.err_code == _RUNNING:
                return Busy(f"{text}: it is being stored", retry_after=1.0)
            self._failing = text
            return Temporary(text, retry_after=2.0)
        found = self._link.translate(error)
        self._mute = str(found)
        return found

    async def _open(self) -> list[StreamInfo]:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return [await self._stream(number) for number in range(self._partitions)]
            except (NatsError, OSError) as error:
                # A cluster that has just started elects first.
                if time.monotonic() > deadline:
                    raise
                _log.info("inbox: NATS is not ready: %s", error)
                await asyncio.sleep(0.5)

    async def _stream(self, number: int) -> StreamInfo:
        wanted = StreamConfig(
            name=f"HAUBERK_INBOX_{number}",
            subjects=[f"hauberk.inbox.{number}"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            num_replicas=self._replicas,
            max_msgs=self._max_items,
            max_bytes=self._max_bytes,
            duplicate_window=self._window_s,
            allow_direct=True,
            metadata={_PARTS: str(self._partitions), _ID: secrets.token_hex(8)},
        )
        name = str(wanted.name)
        js = self._link.js
        try:
            info = await js.stream_info(name)
        except NotFoundError:
            try:
                return await js.add_stream(wanted)
            except APIError as error:
                if error.err_code != _EXISTS:
                    raise
                info = await js.stream_info(name)  # another process was faster
        told = info.config.metadata or {}
        if told.get(_PARTS) != str(self._partitions) or _ID not in told:
            raise BadInput(
                f"stream {name} was made for {told.get(_PARTS, 'no known number of')} partitions,"
                f" not {self._partitions}: set that number, or let the workers empty all streams"
                " and delete them",
                source="inbox_partitions",
            )
        config = info.config
        limits = (config.max_msgs, config.max_bytes, config.num_replicas, config.duplicate_window)
        if limits != (self._max_items, self._max_bytes, self._replicas, self._window_s):
            wanted.metadata = {k: v for k, v in told.items() if k in (_PARTS, _ID)}
            info = await js.update_stream(wanted)
        return info

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            for log in self.logs:
                try:
                    log.told(await self._link.js.stream_info(log.stream))
                except (NatsError, OSError) as error:
                    self._mute = str(self._link.translate(error))
                    _log.debug("inbox: %s", self._mute)
                    break
            else:
                self._mute = ""

    def _arrived(self, subject: str, payload: bytes) -> None:
        number = subject.rpartition(".")[2]
        if number.isdigit() and int(number) < len(self.logs) and payload.isdigit():
            self.logs[int(number)].heard(int(payload))


def _told(item: InboxItem) -> tuple[str, str, int, bytes]:
    return item.agent, item.boot, item.sequence, item.digest or item.body
