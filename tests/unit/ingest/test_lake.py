from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from storekit import Kit, events, item, processes, seal

from hauberk.errors import StorageFull
from hauberk.ingest import lake as lake_ingest
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import Positions
from hauberk.link import wire
from hauberk.link.rows import GoneRow
from hauberk.schema.event import ProcessActivity
from hauberk.store.blobs import FolderBlobs
from hauberk.store.lake import Lake
from hauberk.store.lake_files import FolderFiles


class Wired:
    def __init__(self, kit: Kit, folder: Path) -> None:
        self.kit, self.folder = kit, folder
        self.key, _, self.peer = kit.enrol()
        self.sequence = 0
        self.consumer = self.make()

    def make(self) -> LakeConsumer:
        self.lake = Lake(FolderFiles(self.folder / "lake"), app_id=f"inbox:{self.kit.inbox.id}")
        positions = Positions(self.kit.engine, self.kit.inbox, ("lake",))
        self.poison = Poison(self.kit.engine, FolderBlobs(self.folder / "blobs"), self.kit.clock)
        return LakeConsumer(self.kit.inbox, self.lake, positions, self.poison, self.kit.clock)

    def put(self, *bodies: bytes, tenant: str = "default") -> None:
        for body in bodies:
            self.sequence += 1
            sealed = seal(self.key, self.peer, body, self.sequence)
            self.kit.inbox.append(
                [item(sealed, sequence=self.sequence, tenant=tenant, agent=self.peer.agent)]
            )

    def rows(self, tenant: str = "default", table: str = "process_activity") -> pa.Table:
        return DeltaTable(str(self.lake.where.root / tenant / table)).to_pyarrow_table()

    def kept(self) -> int:
        return self.poison.usage()[0]


@pytest.fixture
def wired(kit: Kit, tmp_path: Path) -> Wired:
    return Wired(kit, tmp_path)


def test_rows_are_stamped_and_written_when_it_is_time(wired: Wired) -> None:
    wired.put(events(2), events(1, first=5))
    assert wired.consumer.step() is True
    assert wired.consumer.step() is False
    assert wired.lake.written("default", "process_activity") == 0
    wired.kit.clock.forward(2)
    wired.consumer.step()
    rows = sorted(wired.rows().to_pylist(), key=lambda r: (r["sequence"], r["ordinal"]))
    assert [(r["pid"], r["sequence"], r["ordinal"]) for r in rows] == [
        (0, 1, 0),
        (1, 1, 1),
        (5, 2, 0),
    ]
    assert {(r["agent"], r["boot"], r["workload"]) for r in rows} == {
        (wired.peer.agent, "b-1", "w")
    }
    assert wired.kit.inbox.depth() == (0, 0)


def test_crash_before_the_position_is_kept_repeats_nothing(wired: Wired) -> None:
    wired.put(events(2), events(2, first=2))
    wired.consumer.step()
    wired.consumer._positions.set = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
    with pytest.raises(ZeroDivisionError):
        wired.consumer.flush()
    wired.put(events(2, first=4))
    again = wired.make()
    assert again.position == 0
    again.step()
    again.flush()
    assert sorted(wired.rows()["pid"].to_pylist()) == list(range(6))


def test_full_disk_keeps_what_was_gathered(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    wired.put(events(2))
    wired.consumer.step()

    def full(*_args: object, **_more: object) -> bool:
        raise StorageFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", full)
        with pytest.raises(StorageFull):
            wired.consumer.flush()
    assert wired.kit.inbox.depth()[0] == 1
    wired.consumer.flush()
    assert wired.rows().num_rows == 2
    assert wired.kit.inbox.depth()[0] == 0


def test_tenants_go_to_their_own_tables(wired: Wired) -> None:
    wired.put(events(1, name="mine"))
    wired.put(events(1, name="theirs"), tenant="other")
    wired.consumer.step()
    wired.consumer.flush()
    assert wired.rows("default")["name"].to_pylist() == ["mine"]
    assert wired.rows("other")["name"].to_pylist() == ["theirs"]


def test_poison_goes_aside_and_the_rest_goes_on(wired: Wired) -> None:
    good = wire.encode_table("process_activity", ProcessActivity, processes(2))
    short = wire.Table("process_activity", 9, {}, good.columns)
    own = wire.encode_table("process_activity", GoneRow, [GoneRow("x")])
    mine = [wire.Column("day", "s", own.columns[0].data)]
    number = wire.encode_table("process_activity", ProcessActivity, processes(1))
    other = [wire.Column("pid", "s", own.columns[0].data)]
    wired.put(
        wire.encode_batch([short, good]),
        wire.encode_batch([wire.Table("process_activity", 1, {}, mine)]),
        wire.encode_batch([wire.Table("process_activity", 1, {}, other), number]),
        wire.encode_batch([wire.Table("../evil", 1, {}, own.columns)]),
    )
    wired.kit.inbox.append([item(b"not an envelope", sequence=99)])
    wired.consumer.step()
    wired.consumer.flush()
    assert wired.rows().num_rows == 3
    assert wired.kept() >= 4
    assert wired.kit.inbox.depth()[0] == 0


def test_columns_of_a_newer_agent_are_kept(wired: Wired) -> None:
    table = wire.encode_table("process_activity", ProcessActivity, processes(1))
    novel = wire.encode_table("x", GoneRow, [GoneRow("value")]).columns[0]
    wider = wire.Table(table.name, 1, {}, [*table.columns, wire.Column("novel", "s", novel.data)])
    unknown = wire.Table("dns_activity", 1, {}, [wire.Column("query", "s", novel.data)])
    wired.put(events(1, first=7), wire.encode_batch([wider, unknown]))
    wired.consumer.step()
    wired.consumer.flush()
    assert set(wired.rows()["novel"].to_pylist()) == {None, "value"}
    assert wired.rows(table="dns_activity")["query"].to_pylist() == ["value"]


def test_table_that_cannot_be_made_now_takes_nothing_twice(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [wire.encode_table(n, ProcessActivity, processes(2)) for n in ("process_activity", "b")]
    wired.put(events(1), wire.encode_batch(two))
    columns = wired.lake.columns

    def full(tenant: str, table: str) -> object:
        if table == "b":
            raise StorageFull("no room")
        return columns(tenant, table)

    monkeypatch.setattr(wired.lake, "columns", full)
    for _ in range(2):
        with pytest.raises(StorageFull):
            wired.consumer.step()
    monkeypatch.undo()
    wired.consumer.step()
    wired.consumer.flush()
    assert wired.rows().num_rows == 3
    assert wired.rows(table="b").num_rows == 2
    assert wired.kept() == 0


def test_table_that_cannot_be_opened_sets_nothing_aside(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired.put(events(1))

    def broken(tenant: str, table: str) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(wired.lake, "columns", broken)
    with pytest.raises(OSError, match="open files"):
        wired.consumer.step()
    monkeypatch.undo()
    wired.consumer.step()
    wired.consumer.flush()
    assert (wired.rows().num_rows, wired.kept()) == (1, 0)


def test_what_waits_is_bounded_by_what_it_grows_to(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_ingest, "FLUSH_BYTES", 1)
    wired.put(events(1), events(1), events(1))
    for written in (0, 0, 1, 2, 3):
        assert wired.lake.written("default", "process_activity") == written
        wired.consumer.step()
