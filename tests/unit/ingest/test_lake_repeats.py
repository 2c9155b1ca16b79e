"""The lake's consumer over a log that repeats, in several processes, killed at every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from storekit import Kit, item, processes, rows, seal

from hauberk.errors import LostLease
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import Positions
from hauberk.link import wire
from hauberk.ports import InboxItem
from hauberk.schema.event import ProcessActivity
from hauberk.store.blobs import FolderBlobs
from hauberk.store.lake import Lake
from hauberk.store.lake_files import FolderFiles
from hauberk.store.leases import Fence, Leases
from hauberk.store.marks import Marks

TABLES = ("process_activity", "other")


class Killed(Exception):
    pass


class Log:
    """`ports.Log` in memory: what is put comes, also twice."""

    id, name, repeats = "log1", "0", True

    def __init__(self) -> None:
        self.items: list[InboxItem] = []
        self.trimmed = 0

    @property
    def last(self) -> int:
        return self.items[-1].position

    def read(self, after: int, *, max_items: int, **_bytes: int) -> list[InboxItem]:
        assert after >= self.trimmed
        return [one for one in self.items if one.position > after][:max_items]

    def wait(self, after: int, _timeout_s: float) -> bool:
        return self.last > after

    def trim(self, upto: int) -> None:
        self.trimmed = upto

    def depth(self) -> tuple[int, int]:
        return len(self.items), 0


class Scene:
    def __init__(self, kit: Kit, folder: Path) -> None:
        self.kit, self.folder, self.log = kit, folder, Log()
        self.key, _, self.peer = kit.enrol()
        self.sent: set[int] = set()

    def put(self, *sequences: int) -> None:
        """One row for each table a batch, its pid the sequence."""
        for sequence in sequences:
            rows = processes(1, first=sequence)
            batch = wire.encode_batch(
                [wire.encode_table(name, ProcessActivity, rows) for name in TABLES]
            )
            self.log.items.append(
                item(
                    seal(self.key, self.peer, batch, sequence),
                    sequence=sequence,
                    agent=self.peer.agent,
                    position=len(self.log.items) + 1,
                )
            )
            self.sent.add(sequence)

    def process(self, fence: Fence | None = None) -> LakeConsumer:
        """A consumer as a process of its own has it."""
        kit = self.kit
        return LakeConsumer(
            self.log,
            Lake(FolderFiles(self.folder / "lake"), app_id="inbox:log1"),
            Positions(kit.engine, self.log, ("lake",), fence=fence),
            Poison(kit.engine, FolderBlobs(self.folder / "blobs"), kit.clock),
            kit.clock,
            marks=Marks(kit.engine, "lake", kit.clock),
        )

    def pids(self, table: str) -> list[int]:
        folder = self.folder / "lake/default" / table
        return sorted(DeltaTable(str(folder)).to_pyarrow_table()["pid"].to_pylist())

    def check(self) -> None:
        for table in TABLES:
            assert self.pids(table) == sorted(self.sent)


@pytest.fixture
def scene(kit: Kit, tmp_path: Path) -> Scene:
    return Scene(kit, tmp_path)


def drain(consumer: LakeConsumer) -> None:
    while consumer.step():
        pass
    consumer.flush()


def die(times: int, call: Callable[..., object], *, after: bool) -> Callable[..., object]:
    """Dies before or after the n-th call."""
    left = [times]

    def dying(*args: object, **more: object) -> object:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Killed
        result = call(*args, **more)
        if left[0] == 0:
            raise Killed
        return result

    return dying


STEPS = [
    ("first table", Lake, "append", 1),
    ("second table", Lake, "append", 2),
    ("marks", Marks, "store", 1),
    ("position", Positions, "set", 1),
    ("memory", Marks, "stored", 1),
    ("trim", Log, "trim", 1),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("what", "owner", "name", "times"), STEPS, ids=[s[0] for s in STEPS])
def test_killed_between_any_two_steps(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    owner: type,
    name: str,
    times: int,
    after: bool,
) -> None:
    scene.put(1, 2)
    drain(scene.process())
    # Repetitions of what is stored, within what is lost, and behind it.
    scene.put(2, 3, 3, 4, 2)
    dying = scene.process()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die(times, getattr(owner, name), after=after))
        with pytest.raises(Killed):
            drain(dying)
    scene.put(4, 5, 3, 5)
    drain(scene.process())
    scene.check()
    drain(scene.process())
    scene.check()


def test_two_owners_in_turn_write_once_wherever_one_stops(scene: Scene) -> None:
    kit = scene.kit
    leases = [Leases(kit.engine, kit.clock, owner=n, ttl_s=10) for n in ("one", "two")]

    def take(n: int) -> Fence:
        kit.clock.forward(11)
        fence = leases[n].take("inbox:log1")
        assert fence is not None
        return fence

    scene.put(1, 2)
    stale = scene.process(take(0))
    stale.step()
    owner = scene.process(take(1))
    scene.put(2, 3)
    owner.step()
    owner.flush()
    # The former owner goes on where it was paused: with less than what is written ...
    with pytest.raises(LostLease):
        stale.flush()
    with pytest.raises(LostLease):
        stale.reset()
    # ... and with what nobody has yet: the rows are in, and its owner goes on behind them.
    scene.put(4)
    owner.step()
    stale.step()
    with pytest.raises(LostLease):
        stale.flush()
    scene.put(3, 5)
    with pytest.raises(LostLease, match="another process wrote"):
        drain(owner)
    owner.reset()
    drain(owner)
    scene.check()


def test_what_a_former_owner_wrote_in_time_is_not_written_again(scene: Scene) -> None:
    """Its rows are in, its position is refused: the new owner skips them, and marks them."""
    kit = scene.kit
    leases = [Leases(kit.engine, kit.clock, owner=n, ttl_s=10) for n in ("one", "two")]
    first = leases[0].take("inbox:log1")
    assert first is not None
    stale = scene.process(first)
    scene.put(1, 2)
    stale.step()
    kit.clock.forward(11)
    second = leases[1].take("inbox:log1")
    assert second is not None
    owner = scene.process(second)
    scene.put(3)
    owner.step()
    with pytest.raises(LostLease):
        stale.flush()
    with pytest.raises(LostLease, match="up to 2"):
        owner.flush()
    owner.reset()
    scene.put(1, 3, 4)
    drain(owner)
    scene.check()


def test_columns_that_another_process_made_otherwise_cost_one_batch(scene: Scene) -> None:
    scene.put(1)
    one = scene.process()
    drain(one)
    row = processes(1, first=2)
    table = wire.encode_table("process_activity", ProcessActivity, row)
    numbers = next(c for c in table.columns if c.name == "pid")
    texts = next(c for c in table.columns if c.name == "name")

    def with_column(kind: wire.Column, sequence: int) -> InboxItem:
        own = wire.Column("fresh", kind.kind, kind.data)
        wider = wire.Table(table.name, 1, {}, [*table.columns, own])
        sealed = seal(scene.key, scene.peer, wire.encode_batch([wider]), sequence)
        return item(sealed, sequence=sequence, agent=scene.peer.agent, position=sequence)

    scene.log.items.append(with_column(numbers, 2))
    one.step()
    other = Lake(FolderFiles(scene.folder / "lake"), app_id="inbox:other")
    clash = rows(1, first=90).append_column("fresh", [["text"]])
    other.append("default", "process_activity", clash, position=1)
    with pytest.raises(LostLease, match="taken anew"):
        one.flush()
    one.reset()
    scene.log.items.append(with_column(texts, 3))
    drain(one)
    assert scene.pids("process_activity") == [1, 2, 90]
    assert one._poison.usage()[0] == 1
