from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import pytest
from storekit import Kit, events, item

from hauberk.ingest import live
from hauberk.ingest.feed import Feed
from hauberk.ingest.live import Live
from hauberk.ingest.names import Hostnames
from hauberk.link import wire
from hauberk.schema.asset import column
from hauberk.schema.view import Change, Notice
from hauberk.store.assets import Applied


def heard(kit: Kit, act, count: int) -> list[Notice]:
    async def run() -> list[Notice]:
        feed = Feed(kit.clock)
        names = Hostnames(kit.engine)
        names.put("default", "w", "web-1")
        async with feed.subscribe("default", []) as notices:
            act(Live(feed, names))
            return [await asyncio.wait_for(anext(notices), 5) for _ in range(count)]

    return asyncio.run(run())


def test_event_rows_are_published(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_ROWS", 2)
    batch = wire.decode_batch(events(3))
    notice = heard(kit, lambda one: one.batch(item(), batch), 1)[0]
    assert (notice.topic, notice.workload) == ("events", "w")
    assert [e.fields["pid"] for e in notice.events] == [1, 2]
    assert notice.events[0].hostname == "web-1"
    assert notice.events[0].received_ms == item().received_ns // 1_000_000


def test_undecodable_table_is_left_out(kit: Kit) -> None:
    bad = wire.Batch(
        1, [wire.Table("process_activity", 3, {}, wire.decode_batch(events(2)).tables[0].columns)]
    )
    good = wire.decode_batch(events(1))

    def act(one: Live) -> None:
        one.batch(item(), bad)
        one.batch(item(), good)

    assert len(heard(kit, act, 1)[0].events) == 1


def test_applied_changes_and_collections(kit: Kit) -> None:
    change = Change(
        seq=1, at_ms=1, workload="w", hostname="h", subclass="s", asset="i", label="l", kind="added"
    )
    done = Applied(changes={"default": [change], "other": [change]}, collected={("default", "w")})
    first, second = heard(kit, lambda one: one.applied(done, 5_000_000), 2)
    assert (first.topic, first.changes, first.at_ms) == ("changes", [change], 5)
    assert (second.topic, second.workload) == ("collections", "w")


def test_times_that_are_no_numbers_are_left_out(kit: Kit) -> None:
    class Odd(msgspec.Struct):
        time_ns: Annotated[str, column("Time", "时间")]

    odd = wire.decode_batch(
        wire.encode_batch([wire.encode_table("process_activity", Odd, [Odd("soon")])])
    )
    good = wire.decode_batch(events(1))

    def act(one: Live) -> None:
        one.batch(item(), odd)
        one.batch(item(), good)

    assert heard(kit, act, 1)[0].events[0].fields["pid"] == 0
