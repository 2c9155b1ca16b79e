from __future__ import annotations

import threading
import time
from typing import cast

import pytest
from storekit import Kit, eventually

from hauberk.errors import LostLease, StorageFull
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.positions import Positions
from hauberk.ingest.state import StateConsumer
from hauberk.ports import Inbox, Log
from hauberk.server.consume import Consumers, Partition
from hauberk.server.supervise import Supervisor
from hauberk.store.leases import Fence, Leases
from hauberk.store.members import Members


class Part:
    """A log and both its consumers."""

    repeats, last = True, 0

    def __init__(self, name: str) -> None:
        self.id = self.name = name
        self.position = self.rows_written = self.flushed = self.resets = 0
        self.lost = False
        self.go = threading.Event()
        self.go.set()

    def depth(self) -> tuple[int, int]:
        return 3, 30

    def wait(self, _after: int, _timeout_s: float) -> bool:
        return False

    def step(self) -> bool:
        self.go.wait(30)
        if self.lost:
            self.lost = False
            raise LostLease("another", retry_after=0.1)
        return False

    def reset(self) -> None:
        self.resets += 1

    def flush(self) -> None:
        self.flushed += 1


class World:
    """Partitions that several processes share."""

    def __init__(self, kit: Kit, count: int) -> None:
        self.kit = kit
        self.logs = [Part(str(n)) for n in range(count)]
        self.supervisors: list[Supervisor] = []

    def process(self, name: str, *, consumes: bool = True, lake: str = "s3://b") -> Consumers:
        kit = self.kit
        made = Consumers(
            cast(Inbox, self),
            self.make,
            leases=Leases(kit.engine, kit.clock, owner=name, ttl_s=10),
            members=Members(
                kit.engine,
                kit.clock,
                id_=name,
                role="worker",
                host="h",
                pid=1,
                version="1",
                consumes=consumes,
            ),
            consumes=consumes,
            places={"lake": lake},
        )
        made._supervisor = Supervisor()
        self.supervisors.append(made._supervisor)
        return made

    @staticmethod
    def make(log: Log, fence: Fence | None) -> Partition:
        return Partition(log, fence, cast(StateConsumer, log), cast(LakeConsumer, log))


@pytest.fixture
def world(kit: Kit):  # type: ignore[no-untyped-def]
    made = World(kit, 5)
    yield made
    for supervisor in made.supervisors:
        supervisor.join(5)


def names(consumers: Consumers) -> list[str]:
    return sorted(part.log.name for part in consumers.partitions)


def test_shares_are_fair_and_follow_who_comes_and_goes(world: World) -> None:
    one, two = world.process("a"), world.process("b")
    one.step()
    assert names(one) == ["0", "1", "2", "3", "4"]
    two.step()  # says that it is there; nothing is free yet
    assert names(two) == []
    one.step()
    two.step()
    assert (len(names(one)), len(names(two))) == (3, 2)
    assert sorted(names(one) + names(two)) == ["0", "1", "2", "3", "4"]
    assert {log.flushed for log in world.logs if log.name in names(two)} == {2}
    one._supervisor.join(5)
    one.close()
    two.step()
    assert names(two) == ["0", "1", "2", "3", "4"]
    assert two.wrong() == ""


def test_a_silent_owner_is_replaced_and_finds_out(world: World) -> None:
    one, two = world.process("a"), world.process("b")
    one.step()
    world.kit.clock.forward(11)
    two.step()
    assert names(two) == ["0", "1", "2", "3", "4"]
    flushed = [log.flushed for log in world.logs]
    one.step()
    # What it had in memory was dropped, not written.
    assert names(one) == []
    assert [log.flushed for log in world.logs] == flushed


def test_a_process_that_consumes_nothing_takes_nothing(world: World) -> None:
    server = world.process("s", consumes=False)
    server.step()
    assert names(server) == []
    assert server.wrong() == "no process consumes partition 0, 1, 2, 3, 4: start a worker"
    worker = world.process("w")
    worker.step()
    assert server.wrong() == ""
    view = server.view(lambda log: Positions(world.kit.engine, log))
    assert {(part.owner, part.items, part.behind["lake"]) for part in view} == {("w", 3, 0)}


def test_after_a_lost_lease_a_consumer_begins_anew(world: World) -> None:
    one = world.process("a")
    world.logs[0].lost = True
    one.step()
    assert eventually(lambda: world.logs[0].resets == 1)
    assert eventually(lambda: one._supervisor.check("state") == "")


def test_alone_everything_runs_without_leases(kit: Kit) -> None:
    world = World(kit, 1)
    members = Members(
        kit.engine, kit.clock, id_="s", role="server", host="h", pid=1, version="1", consumes=True
    )
    alone = Consumers(
        cast(Inbox, world), world.make, leases=None, members=members, consumes=True, places={}
    )
    assert names(alone) == ["0"]
    assert alone.wrong() == ""
    alone.close()
    assert world.logs[0].flushed == 2


def test_one_that_cannot_be_written_keeps_the_others_from_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.process("a"), world.process("b")
    one.step()

    def full() -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(world.logs[0], "flush", full)
    one._supervisor.join(5)
    with pytest.raises(StorageFull):
        one.close()
    assert [log.flushed for log in world.logs] == [0, 2, 2, 2, 2]
    two.step()
    assert names(two) == ["0", "1", "2", "3", "4"]


def test_a_worker_with_another_lake_is_told(kit: Kit) -> None:
    world = World(kit, 1)
    server, worker = world.process("a", consumes=False), world.process("w", lake="s3://other")
    server.step()
    worker.step()
    assert "process w on h has another place for lake" in server.wrong()
    kit.clock.forward(11)  # it is gone
    same = world.process("v")
    same.step()
    server.step()
    assert server.wrong() == ""
    same.close()
    worker.close()


def test_a_thread_that_hangs_costs_its_own_partition_only(kit: Kit) -> None:
    world = World(kit, 2)
    one = world.process("a")
    one.step()
    assert names(one) == ["0", "1"]
    world.logs[0].go.clear()
    try:
        time.sleep(0.2)
        kit.clock.forward(11)
        taken = Leases(kit.engine, kit.clock, owner="b", ttl_s=10).take("inbox:0")
        assert taken is not None
        began = time.monotonic()
        one.step()
        one.step()
        assert time.monotonic() - began < 3
        assert names(one) == ["1"]
    finally:
        world.logs[0].go.set()
    one.step()
    one.close()
