from __future__ import annotations

import asyncio

import msgspec
import pytest
from backports import zstd
from storekit import Kit, events, seal

from hauberk import signing
from hauberk.errors import BadWire, Conflict, Forbidden, Refused
from hauberk.ingest.receive import Receiver, tables_of
from hauberk.link.envelope import MAGIC, MAX_RAW, Envelope, Header
from hauberk.link.wire import Batch
from hauberk.ports import InboxItem
from hauberk.schema.link import BatchReply


class Wired:
    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.key, _, self.peer = kit.enrol()
        self.live: list[tuple[InboxItem, Batch]] = []
        self.receiver = Receiver(kit.inbox, kit.clock, lambda i, b: self.live.append((i, b)))

    def send(self, body: bytes) -> BatchReply:
        return asyncio.run(self.receiver(self.peer, body))  # type: ignore[arg-type]

    def forged(self, payload: bytes, raw_size: int) -> bytes:
        header = msgspec.msgpack.encode(Header(1, self.peer.agent, "b-1", 1, 1, 1, raw_size))
        signature = signing.sign(self.key, "batch", header + payload)
        return msgspec.msgpack.encode(Envelope(MAGIC, header, payload, signature))


@pytest.fixture
def wired(kit: Kit) -> Wired:
    return Wired(kit)


def test_accepted_batch_is_durable_and_live(wired: Wired) -> None:
    body = seal(wired.key, wired.peer, events(4))
    assert wired.send(body) == BatchReply(sequence=1)
    stored = wired.kit.inbox.read(0, max_items=9, max_bytes=10**9)
    assert (stored[0].tenant, stored[0].workload) == ("default", wired.peer.workload)
    assert stored[0].received_ns == wired.kit.clock.wall
    assert [t.rows for t in tables_of(stored[0], inventory=False)] == [4]
    assert tables_of(stored[0], inventory=True) == []
    assert [b.tables[0].rows for _, b in wired.live] == [4]
    assert (wired.receiver.counters.rows, wired.receiver.counters.batches) == (4, 1)


def test_repetition_is_acknowledged_but_not_live(wired: Wired) -> None:
    body = seal(wired.key, wired.peer, events())
    wired.send(body)
    assert wired.send(body) == BatchReply(sequence=1, duplicate=True)
    assert len(wired.live) == 1


def test_same_sequence_with_other_bytes(wired: Wired) -> None:
    wired.send(seal(wired.key, wired.peer, events(1)))
    with pytest.raises(Conflict):
        wired.send(seal(wired.key, wired.peer, events(2)))


def test_repetition_under_another_header_is_the_same_batch(wired: Wired) -> None:
    """An agent that was upgraded between two tries seals the same rows anew."""
    wired.send(seal(wired.key, wired.peer, events()))
    again = seal(wired.key, wired.peer, events(), lane="e")
    assert wired.send(again) == BatchReply(sequence=1, duplicate=True)


def test_a_lane_that_lies_is_refused(wired: Wired) -> None:
    with pytest.raises(BadWire, match="lane 'i'"):
        wired.send(seal(wired.key, wired.peer, events(), lane="i"))
    assert wired.kit.inbox.depth() == (0, 0)


def test_a_lane_of_no_use_is_not_unpacked(wired: Wired) -> None:
    body = seal(wired.key, wired.peer, b"cannot be decoded", lane="e")
    item = InboxItem("default", "w", "a", "b", 1, 1, body)
    assert tables_of(item, inventory=True) == []
    with pytest.raises(BadWire):
        tables_of(item, inventory=False)


def test_wrong_signature(wired: Wired) -> None:
    other, _, _ = wired.kit.enrol()
    with pytest.raises(Refused, match="signature"):
        wired.send(seal(other, wired.peer, events()))
    assert wired.kit.inbox.depth() == (0, 0)


def test_envelope_of_another_agent(wired: Wired) -> None:
    other_key, _, other = wired.kit.enrol()
    with pytest.raises(Forbidden, match="another agent"):
        wired.send(seal(other_key, other, events()))


def test_hostile_sizes_and_forms(wired: Wired) -> None:
    bomb = zstd.compress(b"\0" * (MAX_RAW // 2))
    for body in (
        b"nonsense",
        seal(wired.key, wired.peer, events(), sequence=0),
        seal(wired.key, wired.peer, events(), sequence=2**63),
        seal(wired.key, wired.peer, events(), boot="x" * 500),
        seal(wired.key, wired.peer, b"not a batch"),
        wired.forged(bomb, 1000),
        wired.forged(bomb, 2**30),
        wired.forged(b"not zstd", 8),
        b"x" * (9 * 1024 * 1024),
    ):
        with pytest.raises(BadWire):
            wired.send(body)
    assert wired.receiver.counters.refused == 9
    assert wired.kit.inbox.depth() == (0, 0)
