from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from storekit import Clock, Kit

from hauberk.errors import BadInput
from hauberk.ingest.feed import Feed
from hauberk.ingest.names import Hostnames
from hauberk.schema.view import Notice
from hauberk.server.bus import Bus
from hauberk.store.nats_link import NatsLink


class Wire:
    """Subjects between processes, without NATS: one's own messages do not come back."""

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.told: list[str] = []


class End:
    def __init__(self, wire: Wire) -> None:
        self.wire, self.hears = wire, dict[str, Callable[[str, bytes], None]]()
        wire.ends.append(self)

    def listen(self, subject: str, hear: Callable[[str, bytes], None]) -> None:
        self.hears[subject] = hear

    def tell(self, subject: str, payload: bytes) -> None:
        self.wire.told.append(subject)
        for end in self.wire.ends:
            for known, hear in end.hears.items():
                if end is not self and known in (subject, f"{subject.rpartition('.')[0]}.*"):
                    hear(subject, payload)


class Process:
    def __init__(self, wire: Wire, kit: Kit, name: str) -> None:
        self.feed, self.names = Feed(kit.clock), Hostnames(kit.engine)
        self.end = End(wire)
        self.bus = Bus(cast(NatsLink, self.end), self.feed, self.names, kit.clock, process=name)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def notice(topic: str = "agents") -> Notice:
    return Notice(topic=topic, at_ms=1, workload="w")


def test_what_a_worker_says_reaches_the_reader_of_a_server(kit: Kit, wire: Wire) -> None:
    async def run() -> None:
        server, worker = Process(wire, kit, "s"), Process(wire, kit, "w")
        assert not worker.feed.wanted("default", "changes")
        async with server.feed.subscribe("default", ["changes"]) as heard:
            assert worker.feed.wanted("default", "changes")
            assert not worker.feed.wanted("other", "changes")
            worker.feed.publish("default", notice("changes"))
            worker.feed.publish("other", notice("changes"))
            got = await asyncio.wait_for(anext(aiter(heard)), 5)
            assert got == notice("changes")
        assert not worker.feed.wanted("default", "changes")
        wire.told.clear()
        worker.feed.publish("default", notice("changes"))
        assert wire.told == []

    asyncio.run(run())


def test_who_comes_later_learns_and_who_is_silent_is_forgotten(kit: Kit, wire: Wire) -> None:
    async def run() -> None:
        server = Process(wire, kit, "s")
        async with server.feed.subscribe("default", ["agents"]):
            worker = Process(wire, kit, "w")
            assert not worker.feed.wanted("default", "agents")
            worker.bus.announce()
            assert worker.feed.wanted("default", "agents")
            cast(Clock, kit.clock).forward(11)
            assert not worker.feed.wanted("default", "agents")

    asyncio.run(run())


def test_revoked_agents_and_names_are_told(kit: Kit, wire: Wire) -> None:
    one, two = Process(wire, kit, "1"), Process(wire, kit, "2")
    forgotten: list[str] = []
    two.bus.forget = forgotten.append
    one.bus.changed("agent-7")
    assert forgotten == ["agent-7"]
    for _ in range(3):
        one.bus.named("default", "w", "web-1")
    assert two.names.cached("default", "w") == "web-1"
    assert wire.told.count("hauberk.name") == 1


def test_what_cannot_be_decoded_is_refused(kit: Kit, wire: Wire) -> None:
    one = Process(wire, kit, "1")
    for subject, payload in (
        ("hauberk.feed.default", b"\xc1"),
        ("hauberk.want", b"x"),
        ("hauberk.name", msgspec.msgpack.encode(["a"])),
    ):
        hear = one.end.hears.get(subject) or one.end.hears["hauberk.feed.*"]
        with pytest.raises(BadInput, match="cannot be decoded"):
            hear(subject, payload)
    with pytest.raises(BadInput, match="no tenant"):
        one.end.hears["hauberk.feed.*"]("hauberk.feed.A B", b"")
