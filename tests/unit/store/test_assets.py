from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select, update
from storekit import NOW_NS, Kit

from hauberk.assets import runtime_process, software_os_package
from hauberk.ingest.positions import Positions
from hauberk.link import wire
from hauberk.link.rows import CollectionRow, GoneRow
from hauberk.schema.asset import Collection, Problem
from hauberk.store import removal
from hauberk.store.assets import CONSUMER, Applied, Assets, is_inventory
from hauberk.store.database import read, write
from hauberk.store.sets import Incoming
from hauberk.store.tables import (
    asset,
    asset_change,
    collection,
    snapshot_part,
    workload,
)

Package = software_os_package.COLLECTOR.struct
SUB = "software.os_package"


def package(name: str, version: str = "1") -> Any:
    return Package(manager="dpkg", name=name, arch="amd64", version=version)


class Feeder:
    """Applies tables as successive batches."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.assets = Assets(kit.engine, hostname=lambda _t, _w: "web-1")
        self.position = 0
        self.positions = Positions(kit.engine, kit.inbox)

    def __call__(self, *tables: wire.Table, tenant: str = "default", home: str = "w") -> Applied:
        self.position += 1
        self.kit.home(tenant, home)
        self.kit.clock.forward(1)
        batch = wire.decode_batch(wire.encode_batch(tables))
        one = Incoming(tenant, home, self.kit.clock.wall, self.position, batch.tables)
        return self.assets.apply([one], self.keep)

    def keep(self, db: Connection, _done: Applied) -> None:
        self.positions.advance(db, CONSUMER, self.position)

    def rows(self, *, gone: bool = False, tenant: str = "default") -> dict[str, dict[str, Any]]:
        with read(self.kit.engine) as db:
            query = select(asset).where(asset.c.tenant == tenant)
            found = db.execute(query).mappings().all()
        return {r["label"]: dict(r) for r in found if (r["gone_ns"] is not None) == gone}

    def changes(self) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
        with read(self.kit.engine) as db:
            found = db.execute(select(asset_change).order_by(asset_change.c.seq)).mappings().all()
        return [
            (r["kind"], r["label"], json.loads(r["before"]), json.loads(r["after"])) for r in found
        ]


@pytest.fixture
def feed(kit: Kit) -> Feeder:
    return Feeder(kit)


def table(*rows: Any, epoch: int = 1, full: int = 1, part: int = 1, parts: int = 1) -> wire.Table:
    meta: dict[str, str | int] = {"epoch": epoch, "full": full, "part": part, "parts": parts}
    return wire.encode_table(f"asset/{SUB}", Package, rows, meta)


def gone(*keys: str) -> wire.Table:
    return wire.encode_table(f"gone/{SUB}", GoneRow, [GoneRow(k) for k in keys])


def proof(epoch: int = 1, problems: list[Problem] | None = None) -> wire.Table:
    found = Collection(
        subclass=SUB, outcome="ok", rows=1, epoch=epoch, ended_ns=7, problems=problems or []
    )
    return wire.encode_table("collection", CollectionRow, [CollectionRow.of(found)])


def test_snapshot_adds_changes_and_removes(feed: Feeder) -> None:
    done = feed(table(package("a"), package("b"), epoch=1))
    assert [c.kind for c in done.changes["default"]] == ["added", "added"]
    assert done.changes["default"][0].hostname == "web-1"
    feed(table(package("a", "2"), package("c"), epoch=2))
    assert set(feed.rows()) == {"a", "c"}
    assert set(feed.rows(gone=True)) == {"b"}
    kinds = [(k, label) for k, label, _, _ in feed.changes()]
    assert kinds == [
        ("added", "a"),
        ("added", "b"),
        ("changed", "a"),
        ("added", "c"),
        ("removed", "b"),
    ]
    changed = feed.changes()[2]
    assert changed[2:] == ({"version": "1"}, {"version": "2"})


def test_times_of_a_row(feed: Feeder) -> None:
    feed(table(package("a"), epoch=1))
    first = feed.rows()["a"]
    feed(table(package("a"), epoch=2))
    same = feed.rows()["a"]
    assert same["first_seen_ns"] == same["changed_ns"] == first["first_seen_ns"]
    assert same["last_seen_ns"] > first["last_seen_ns"]
    feed(table(package("a", "2"), epoch=3))
    assert feed.rows()["a"]["changed_ns"] == feed.kit.clock.wall
    assert len(feed.changes()) == 2


def test_upserts_and_gone_rows(feed: Feeder) -> None:
    feed(table(package("a"), epoch=1), proof())
    feed(table(package("b"), epoch=1, full=0))
    assert set(feed.rows()) == {"a", "b"}
    key = package("a").key()
    feed(gone(key, "unknown"))
    feed(gone(key))
    assert set(feed.rows()) == {"b"}
    assert [k for k, *_ in feed.changes()] == ["added", "added", "removed"]


def test_reappearing_row_keeps_its_first_time(feed: Feeder) -> None:
    feed(table(package("a"), epoch=1))
    first = feed.rows()["a"]["first_seen_ns"]
    feed(table(epoch=2))
    feed(table(package("a"), epoch=3))
    row = feed.rows()["a"]
    assert (row["first_seen_ns"], row["gone_ns"]) == (first, None)
    assert [k for k, *_ in feed.changes()] == ["added", "removed", "added"]


def test_parts_in_any_order_sweep_once_all_came(feed: Feeder) -> None:
    feed(table(package("old"), epoch=1))
    feed(table(package("b"), epoch=2, part=2, parts=2))
    assert set(feed.rows()) == {"old", "b"}
    feed(table(package("a"), epoch=2, part=1, parts=2))
    assert set(feed.rows()) == {"a", "b"}
    with read(feed.kit.engine) as db:
        assert db.execute(select(snapshot_part)).all() == []


def test_missing_part_removes_nothing(feed: Feeder) -> None:
    feed(table(package("old"), epoch=1))
    feed(table(package("a"), epoch=2, part=1, parts=3))
    feed(table(package("b"), epoch=3, part=2, parts=2))
    assert set(feed.rows()) == {"old", "a", "b"}


def test_epoch_may_fall_when_the_clock_jumps_back(feed: Feeder) -> None:
    feed(table(package("a"), package("b"), epoch=100))
    feed(table(package("a"), epoch=5))
    assert set(feed.rows()) == {"a"}


def test_volatile_fields_are_no_change(feed: Feeder) -> None:
    kind = runtime_process.COLLECTOR.struct
    name = next(f for f in sorted(kind.VOLATILE) if f not in kind.KEY)
    required = {f.name: 1 for f in msgspec.structs.fields(kind) if f.required}
    row = msgspec.convert(required, kind, strict=False)
    seven = {int: 7, float: 7.0, str: "7", list: ["7"], bool: True}
    other = msgspec.structs.replace(row, **{name: seven[type(getattr(row, name))]})
    assert other != row
    for epoch, one in ((1, row), (2, other)):
        meta: dict[str, str | int] = {"epoch": epoch, "full": 1, "part": 1, "parts": 1}
        feed(wire.encode_table("asset/runtime.process", kind, [one], meta))
    assert [k for k, *_ in feed.changes()] == ["added"]
    stored = json.loads(next(iter(feed.rows().values()))["fields"])
    assert stored[name] == getattr(other, name)


def test_tenants_and_workloads_do_not_mix(feed: Feeder) -> None:
    feed(table(package("same"), epoch=1))
    feed(table(package("same"), epoch=1), tenant="other")
    feed(table(epoch=2))
    assert set(feed.rows()) == set()
    assert set(feed.rows(tenant="other")) == {"same"}


def test_collections_are_kept_with_their_problems(feed: Feeder) -> None:
    done = feed(proof(problems=[Problem("/x", "denied")]))
    assert done.collected == {("default", "w")}
    feed(proof(epoch=2, problems=[Problem("/y", "denied")]))
    with read(feed.kit.engine) as db:
        row = db.execute(select(collection)).mappings().one()
    assert (row["epoch"], json.loads(row["problems"])) == (2, [{"where": "/y", "what": "denied"}])
    assert row["received_ns"] == feed.kit.clock.wall


def test_upsert_without_a_snapshot_asks_for_one(feed: Feeder) -> None:
    peer = feed.kit.peer()
    feed(table(package("a"), epoch=9, full=0), home=peer.workload)
    with read(feed.kit.engine) as db:
        assert db.execute(select(workload.c.resync)).scalar() is True


def test_first_upsert_with_its_proof_needs_no_snapshot(feed: Feeder) -> None:
    peer = feed.kit.peer()
    feed(table(package("a"), epoch=9, full=0), proof(epoch=9), home=peer.workload)
    with read(feed.kit.engine) as db:
        assert db.execute(select(workload.c.resync)).scalar() is False


def test_poison_table_is_left_out_and_the_rest_goes_on(feed: Feeder) -> None:
    keyless = wire.encode_table(f"asset/{SUB}", GoneRow, [GoneRow("x")], {"epoch": 1, "full": 1})
    unknown = wire.encode_table("asset/no.such", GoneRow, [GoneRow("x")])
    bad_meta = wire.encode_table(f"asset/{SUB}", Package, [package("z")], {"epoch": "x", "full": 1})
    huge = table(package("z"), parts=10**9)
    done = feed(keyless, unknown, bad_meta, huge, table(package("a")))
    assert len(done.poison) == 4
    assert set(feed.rows()) == {"a"}
    assert feed.positions.of(CONSUMER) == feed.position


def test_values_that_sql_cannot_hold_are_poison(feed: Feeder) -> None:
    row = CollectionRow.of(Collection(subclass=SUB, outcome="ok", rows=1, epoch=1, ended_ns=1))
    one = wire.encode_table("collection", CollectionRow, [row])
    wide = msgspec.Raw(msgspec.msgpack.encode([2**63, 0, b""]))
    columns = [
        msgspec.structs.replace(c, data=wide) if c.name == "epoch" else c for c in one.columns
    ]
    done = feed(msgspec.structs.replace(one, columns=columns), table(package("a")))
    assert len(done.poison) == 1
    assert set(feed.rows()) == {"a"}


def test_what_still_waited_of_a_removed_workload_is_passed_over(feed: Feeder) -> None:
    kit = feed.kit
    feed(table(package("a")))
    removal.remove(kit.engine, kit.clock, "default", "w")
    gone = wire.decode_batch(wire.encode_batch([table(package("b"), epoch=2)]))
    late = Incoming("default", "w", NOW_NS, 2, gone.tables)
    kit.home("default", "w2")
    done = feed.assets.apply([late, Incoming("default", "w2", NOW_NS, 3, gone.tables)], feed.keep)
    assert done.poison == []
    with read(kit.engine) as db:
        assert db.execute(select(asset.c.workload).distinct()).scalars().all() == ["w2"]


def test_a_failed_transaction_leaves_nothing(feed: Feeder) -> None:
    feed(table(package("a")))
    with write(feed.kit.engine) as db:
        db.execute(update(workload).values(site="x"))
    broken = Assets(feed.kit.engine, hostname=lambda _t, _w: 1 / 0)  # type: ignore[arg-type,return-value]
    batch = wire.decode_batch(wire.encode_batch([table(package("b"), epoch=2)]))
    with pytest.raises(ZeroDivisionError):
        broken.apply([Incoming("default", "w", NOW_NS, 2, batch.tables)], feed.keep)
    assert set(feed.rows()) == {"a"}
    assert feed.positions.of(CONSUMER) == 1


def test_names_of_inventory_tables() -> None:
    assert is_inventory("asset/os.release")
    assert is_inventory("collection")
    assert not is_inventory("process_activity")
