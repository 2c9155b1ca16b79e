"""One stream of the inbox, as its consumers read it: by position, without a consumer in NATS."""

from __future__ import annotations

import threading

import msgspec
from nats.js.api import StreamInfo

from hauberk.errors import Conflict, Unreachable
from hauberk.ports import InboxItem
from hauberk.store.nats_link import NatsLink

_TOLD_S = 0.02
_READ_S = 5.0
_END, _NOTHING = "204", "404"
_encoder = msgspec.msgpack.Encoder()


class _Frame(msgspec.Struct, array_like=True, frozen=True):
    tenant: str
    workload: str
    agent: str
    boot: str
    sequence: int
    received_ns: int
    digest: bytes
    body: bytes


_decoder = msgspec.msgpack.Decoder(_Frame)


def pack(item: InboxItem) -> bytes:
    """An item as a message."""
    return _encoder.encode(
        _Frame(
            item.tenant,
            item.workload,
            item.agent,
            item.boot,
            item.sequence,
            item.received_ns,
            item.digest,
            item.body,
        )
    )


def unpack(message: bytes, position: int) -> InboxItem:
    """The item of a message. Raises Conflict: something else wrote into the stream."""
    try:
        frame = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Conflict(
            f"message {position} is not of Hauberk ({error}): nothing else may publish there;"
            " delete that message"
        ) from error
    return InboxItem(
        tenant=frame.tenant,
        workload=frame.workload,
        agent=frame.agent,
        boot=frame.boot,
        sequence=frame.sequence,
        received_ns=frame.received_ns,
        body=frame.body,
        position=position,
        digest=frame.digest,
    )


class NatsLog:
    """`ports.Log` on a stream. Every method may be called from any thread."""

    repeats = True

    def __init__(self, link: NatsLink, number: int, id_: str, info: StreamInfo) -> None:
        self._link = link
        self.name, self.id = str(number), id_
        self.stream, self.subject = f"HAUBERK_INBOX_{number}", f"hauberk.inbox.{number}"
        self._news = f"hauberk.arrived.{number}"
        self._arrived = threading.Condition()
        self._closed = self._telling = False
        self._last = self._confirmed = 0
        self._depth = (0, 0)
        self.told(info)

    @property
    def last(self) -> int:
        """Position of the newest item that is known."""
        return self._last

    def depth(self) -> tuple[int, int]:
        """(items, bytes) not yet trimmed, as of a second ago."""
        return self._depth

    def told(self, info: StreamInfo) -> None:
        """Take what the server says of the stream."""
        self._depth = (int(info.state.messages), int(info.state.bytes))
        self._confirmed = int(info.state.last_seq)
        self.heard(self._confirmed)

    def heard(self, position: int) -> None:
        """An item with this position is there."""
        with self._arrived:
            self._last = max(self._last, position)
            self._arrived.notify_all()

    def arrived(self, position: int) -> None:
        """This process stored an item (on the connection's loop): tell the others, soon."""
        self.heard(position)
        if not self._telling:
            self._telling = True
            self._link.later(_TOLD_S, self._tell)

    def _tell(self) -> None:
        self._telling = False
        self._link.tell(self._news, str(self._last).encode())

    def wait(self, after: int, timeout_s: float) -> bool:
        """Block until an item behind `after` is there, or the time is over."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self._last > after or self._closed, timeout_s)

    def read(self, after: int, *, max_items: int, max_bytes: int) -> list[InboxItem]:
        """Items with position > after, in order; at least one if there is any.

        Raises:
            Unreachable: NATS does not answer.
            Conflict: the stream ends before `after`, or holds what is not Hauberk's.
        """
        self._link.need()
        if after > self._confirmed:
            self._check(after)
        return self._link.call(self._read(after, max_items, max_bytes))

    def trim(self, upto: int) -> None:
        """Forget positions <= upto. Raises Unreachable."""
        self._link.need()
        self._link.call(self._link.js.purge_stream(self.stream, seq=upto + 1))

    def close(self) -> None:
        """Wake who waits."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()

    def _check(self, after: int) -> None:
        self.told(self._link.call(self._link.js.stream_info(self.stream)))
        if after > self._confirmed:
            raise Conflict(
                f"stream {self.stream} ends at {self._confirmed}, but batches up to {after} were"
                " taken from it: it lost its end (sync_interval: always prevents that). Stop all"
                " servers and workers and delete the stream: it begins anew"
            )

    async def _read(self, after: int, max_items: int, max_bytes: int) -> list[InboxItem]:
        asked = msgspec.json.encode({"seq": after + 1, "batch": max_items, "max_bytes": max_bytes})
        answers = await self._link.ask(
            f"$JS.API.DIRECT.GET.{self.stream}", asked, timeout_s=_READ_S
        )
        status = (answers.pop().headers or {}).get("Status", "")
        if status not in (_END, _NOTHING):
            raise Unreachable(f"{self.stream}: NATS answers {status} to a read", retry_after=2.0)
        items: list[InboxItem] = []
        size = 0
        for message in answers:
            position = int((message.headers or {}).get("Nats-Sequence", "0"))
            if position <= after or (items and position != items[-1].position + 1):
                break  # what follows is read again
            size += len(message.data)
            if items and size > max_bytes:
                break  # NATS gives one more
            items.append(unpack(message.data, position))
        if items:
            self.heard(items[-1].position)
        return items
