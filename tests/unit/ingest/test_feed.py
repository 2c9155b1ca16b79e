from __future__ import annotations

import asyncio
import threading

from storekit import Clock

from hauberk.ingest.feed import Feed
from hauberk.schema.view import EventRow, Notice


def notice(topic: str = "events", at_ms: int = 1) -> Notice:
    return Notice(topic=topic, at_ms=at_ms)


def test_readers_hear_their_tenant_and_topics_only() -> None:
    async def run() -> list[int]:
        feed = Feed(Clock())
        async with feed.subscribe("a", ["events"]) as notices:
            assert feed.wanted("a", "events")
            assert not feed.wanted("b", "events")
            assert not feed.wanted("a", "changes")
            feed.publish("b", notice(at_ms=1))
            feed.publish("a", notice("changes", at_ms=2))
            feed.publish("a", notice(at_ms=3))
            got = await asyncio.wait_for(anext(notices), 5)
            assert feed.readers() == 1
        assert feed.readers() == 0
        return [got.at_ms]

    assert asyncio.run(run()) == [3]


def test_publishing_from_a_thread_wakes_the_reader() -> None:
    async def run() -> int:
        feed = Feed(Clock())
        async with feed.subscribe("a", []) as notices:
            thread = threading.Thread(target=feed.publish, args=("a", notice(at_ms=9)))
            thread.start()
            got = await asyncio.wait_for(anext(notices), 5)
            thread.join()
            return got.at_ms

    assert asyncio.run(run()) == 9


def test_slow_reader_loses_the_oldest_and_is_told() -> None:
    async def run() -> list[tuple[str, int]]:
        feed = Feed(Clock(5_000_000), limit=2)
        async with feed.subscribe("a", ["events"]) as notices:
            for n in range(5):
                feed.publish("a", notice(at_ms=n))
            return [(one.topic, one.at_ms) for _ in range(3) for one in [await anext(notices)]]

    assert asyncio.run(run()) == [("lost", 5), ("events", 3), ("events", 4)]


def test_two_readers_hear_the_same() -> None:
    async def run() -> bool:
        feed = Feed(Clock())
        async with feed.subscribe("a", []) as one, feed.subscribe("a", []) as two:
            feed.publish("a", notice())
            return await anext(one) == await anext(two)

    assert asyncio.run(run())


def test_rows_that_wait_for_a_slow_reader_are_bounded() -> None:
    row = EventRow(table="t", workload="w", hostname="h", received_ms=1, time_ms=1, fields={})

    async def run() -> list[tuple[str, int]]:
        feed = Feed(Clock(5_000_000))
        async with feed.subscribe("a", ["events"]) as notices:
            for n in range(30):
                feed.publish("a", Notice(topic="events", at_ms=n, events=[row] * 400))
            return [(one.topic, one.at_ms) for _ in range(3) for one in [await anext(notices)]]

    assert asyncio.run(run()) == [("lost", 5), ("events", 20), ("events", 21)]


def test_a_storm_of_beats_is_a_few_notices_and_the_last_is_among_them() -> None:
    async def run() -> list[tuple[int, str]]:
        feed = Feed(Clock())
        feed.publish("a", Notice(topic="agents", at_ms=0))  # nobody wants it: nothing is kept
        async with feed.subscribe("a", ["agents"]) as notices:
            for n in range(1, 1001):
                feed.publish("a", Notice(topic="agents", at_ms=n, workload=f"w{n}"))
            found = [await asyncio.wait_for(anext(notices), 5) for _ in range(2)]
            feed.publish("a", Notice(topic="agents", at_ms=2000, workload="w"))
            found.append(await asyncio.wait_for(anext(notices), 5))
            return [(one.at_ms, one.workload) for one in found]

    assert asyncio.run(run()) == [(1, "w1"), (1000, ""), (2000, "w")]


def test_gathered_notices_are_apart_by_tenant_and_topic() -> None:
    async def run() -> list[tuple[str, int]]:
        feed = Feed(Clock())
        async with feed.subscribe("a", []) as one, feed.subscribe("b", []) as two:
            feed.publish("a", notice("agents", at_ms=1))
            feed.publish("b", notice("agents", at_ms=2))
            feed.publish("a", notice("alarms", at_ms=3))
            got = [await anext(one), await anext(one), await anext(two)]
            return [(each.topic, each.at_ms) for each in got]

    assert asyncio.run(run()) == [("agents", 1), ("alarms", 3), ("agents", 2)]
