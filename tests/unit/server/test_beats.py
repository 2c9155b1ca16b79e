from __future__ import annotations

import threading

import pytest
from sqlalchemy import event, select
from storekit import Clock, Kit, beat

from hauberk.errors import BadWire, Busy, StorageFull, Unauthenticated
from hauberk.link.gateway.identity import Cloned, Peer
from hauberk.schema.link import Beat, BeatReply
from hauberk.server.beats import SLOWEST_S, Beats, Pace
from hauberk.store import removal
from hauberk.store.fleet import LATE_S
from hauberk.store.tables import agent


def test_beats_of_one_group_share_a_transaction_and_fail_alone(kit: Kit) -> None:
    commits: list[object] = []
    event.listen(kit.engine, "commit", commits.append)
    hold = threading.Event()

    def answer(peer: Peer, one: Beat) -> BeatReply:
        hold.wait(5)
        return kit.agents.beat(peer, one)

    peers = [kit.peer() for _ in range(20)]
    commits.clear()
    beats = Beats(kit.engine, answer, kit.clock)
    first = beats.submit(peers[0], beat())
    rest = [beats.submit(peer, beat()) for peer in peers[1:-1]]
    bad = beats.submit(peers[-1], beat(instance=""))
    hold.set()
    assert first.result(5).server_ns == kit.clock.wall
    assert all(f.result(5).server_ns == kit.clock.wall for f in rest)
    with pytest.raises(BadWire):
        bad.result(5)
    beats.close()
    assert len(commits) <= 3
    with kit.engine.connect() as db:
        heard = db.execute(select(agent.c.id).where(agent.c.last_beat_ns.is_not(None))).all()
    assert len(heard) == 19


def test_a_clone_in_a_group_stays_recorded(kit: Kit) -> None:
    peer, other = kit.peer(), kit.peer()
    beats = Beats(kit.engine, kit.agents.beat, kit.clock)
    for name in ("one", "two"):
        beats.submit(peer, beat(instance=name)).result(5)
    cloned = beats.submit(peer, beat(instance="one"))
    fine = beats.submit(other, beat())
    with pytest.raises(Cloned):
        cloned.result(5)
    fine.result(5)
    beats.close()
    with kit.engine.connect() as db:
        assert db.execute(select(agent.c.state).where(agent.c.id == peer.agent)).scalar() == (
            "cloned"
        )


def test_a_full_disk_is_told_to_all_and_nobody_waits_for_the_others(kit: Kit) -> None:
    calls: list[Peer] = []

    def answer(peer: Peer, one: Beat) -> BeatReply:
        calls.append(peer)
        raise RuntimeError("no") if len(calls) == 1 else StorageFull("no room")

    peer = kit.peer()
    beats = Beats(kit.engine, answer, kit.clock)
    with pytest.raises(Busy, match="RuntimeError"):
        beats.submit(peer, beat()).result(5)
    with pytest.raises(StorageFull):
        beats.submit(peer, beat()).result(5)
    beats.close()
    with pytest.raises(Busy, match="no more"):
        beats.submit(peer, beat()).result(5)


def test_one_that_breaks_something_does_not_keep_others_from_beating(kit: Kit) -> None:
    hold = threading.Event()
    odd, *rest = [kit.peer() for _ in range(4)]

    def answer(peer: Peer, one: Beat) -> BeatReply:
        hold.wait(5)
        if peer == odd:
            raise OverflowError("an integer that no database takes")
        return kit.agents.beat(peer, one)

    beats = Beats(kit.engine, answer, kit.clock)
    beats.submit(rest[0], beat())
    told = [beats.submit(peer, beat()) for peer in (odd, *rest[1:])]
    hold.set()
    assert [f.result(5).server_ns for f in told[1:]] == [kit.clock.wall] * 2
    with pytest.raises(Busy, match="OverflowError"):
        told[0].result(5)
    beats.close()


def test_an_agent_that_was_removed_is_told_to_enrol(kit: Kit) -> None:
    peer = kit.peer()
    beats = Beats(kit.engine, kit.agents.beat, kit.clock)
    kit.agents.revoke("default", peer.agent)
    removal.remove(kit.engine, kit.clock, "default", peer.workload)
    with pytest.raises(Unauthenticated, match="enrol"):
        beats.submit(peer, beat()).result(5)
    beats.close()


def test_a_large_fleet_is_asked_to_beat_less_often() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert {pace.heard(f"a{i}") for i in range(1000)} == {0.0}
    for i in range(4000):
        seconds = pace.heard(f"b{i}")
    assert seconds == 5000 / 250
    for i in range(20_000):
        seconds = pace.heard(f"c{i}")
    assert seconds == SLOWEST_S
    assert seconds * 1.1 < LATE_S
    clock.forward(181)
    assert pace.heard("a0") == 0.0
