"""What the state promises, over each backend. `pytest --state postgresql tests/unit/store` runs the
tests of every store over PostgreSQL too."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError, InternalError
from storekit import Kit, beat, serial_of

from hauberk import signing
from hauberk.assets import software_os_package
from hauberk.errors import Forbidden
from hauberk.link import wire
from hauberk.link.client.identity import csr
from hauberk.link.gateway.identity import Cloned
from hauberk.link.rows import CollectionRow, GoneRow, RelationRow
from hauberk.schema.asset import Collection, Relation
from hauberk.schema.link import LedgerEntry, RotateRequest, TaskResult
from hauberk.schema.view import TenantInput, TokenInput, UserInput
from hauberk.store import audit, dialect, inventory, ledger, tasks
from hauberk.store.access import Access, ensure_admin
from hauberk.store.assets import Applied, Assets
from hauberk.store.database import after_commit, open_database, read, write
from hauberk.store.inventory import AssetScope
from hauberk.store.jobs import Job, Jobs
from hauberk.store.sets import Incoming
from hauberk.store.steady import Steady
from hauberk.store.tables import (
    asset,
    asset_change,
    collection,
    consumer,
    metadata,
)

SUB = "software.os_package"
Package = software_os_package.COLLECTOR.struct


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory, state_url: str) -> Iterator[Kit]:
    made = Kit(Path(tmp_path_factory.mktemp("contract")), database=state_url)
    ensure_admin(made.engine, made.clock)
    yield made
    made.close()


def position(kit: Kit, name: str) -> int | None:
    with read(kit.engine) as db:
        return db.execute(select(consumer.c.position).where(consumer.c.name == name)).scalar()


def test_migrations_give_what_tables_say(kit: Kit) -> None:
    with read(kit.engine) as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_many_processes_may_start_at_once(
    request: pytest.FixtureRequest, state_url: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    if state_url.startswith("postgresql"):
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.database())
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [url] * 4))
    for engine in engines:
        with read(engine) as db:
            assert db.execute(select(consumer)).all() == []
        engine.dispose()


def test_a_write_is_whole_or_nothing(kit: Kit) -> None:
    calls: list[str] = []
    with pytest.raises(IntegrityError), write(kit.engine) as db:
        db.execute(insert(consumer).values(name="twice", position=1))
        after_commit(kit.engine, lambda: calls.append("never"))
        with write(kit.engine) as inner:
            assert inner is db
            inner.execute(insert(consumer).values(name="twice", position=2))
    assert position(kit, "twice") is None
    with write(kit.engine) as db:
        db.execute(insert(consumer).values(name="once", position=2**62))
        after_commit(kit.engine, lambda: calls.append("committed"))
        assert position(kit, "once") == 2**62
    assert calls == ["committed"]


def test_a_part_may_fail_alone(kit: Kit) -> None:
    with write(kit.engine) as db:
        db.execute(insert(consumer).values(name="kept", position=1))
        with pytest.raises(IntegrityError), db.begin_nested():
            db.execute(insert(consumer).values(name="kept", position=2))
        db.execute(update(consumer).where(consumer.c.name == "kept").values(position=3))
    assert position(kit, "kept") == 3


def test_a_read_is_one_moment(kit: Kit) -> None:
    with write(kit.engine) as db:
        db.execute(insert(consumer).values(name="moment", position=1))

    def change() -> None:
        with write(kit.engine) as db:
            db.execute(update(consumer).where(consumer.c.name == "moment").values(position=2))

    query = select(consumer.c.position).where(consumer.c.name == "moment")
    with read(kit.engine) as db:
        assert db.execute(query).scalar() == 1
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        assert db.execute(query).scalar() == 1
    assert position(kit, "moment") == 2


def test_writers_take_turns(kit: Kit) -> None:
    with write(kit.engine) as db:
        db.execute(insert(consumer).values(name="count", position=0))

    def add(_: int) -> None:
        with write(kit.engine) as db:
            query = select(consumer.c.position).where(consumer.c.name == "count")
            now = db.execute(query).scalar_one()
            db.execute(update(consumer).where(consumer.c.name == "count").values(position=now + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(100)))
    assert position(kit, "count") == 100


def test_the_audit_log_stays_one_chain(kit: Kit) -> None:
    def one(number: int) -> str:
        return audit.append(
            kit.engine,
            tenant="chained",
            at_ns=number,
            actor=f"user \0 {number}",
            action="x",
            target="名字\0" * 200,
            detail={"nul": "a\0b", "quoted": "\\u0000", "n": 2**60},
        )

    with ThreadPoolExecutor(8) as pool:
        heads = set(pool.map(one, range(40)))
    found = audit.verify(kit.engine, "chained")
    assert (found.intact, found.entries) == (True, 40)
    assert found.head in heads
    page = audit.page(kit.engine, "chained", "", None, 2, 0)
    assert page.items[0].detail == {"nul": f"a{dialect.NUL}b", "quoted": "\\u0000", "n": 2**60}
    assert [i.seq for i in page.items] == [40, 39]
    assert audit.page(kit.engine, "chained", "seq > 99999999999", None, 2, 0).items == []


def test_people_and_tokens(kit: Kit) -> None:
    access = Access(kit.engine, kit.clock)
    access.create_tenant(TenantInput(id="acme"))
    made = access.create_user("acme", UserInput(name="zoe", role="viewer", password="x" * 20))
    opened = access.log_in("zoe@acme", "x" * 20, client="127.0.0.1")
    known = access.by_session(opened.token)
    assert known is not None
    assert (known.name, known.tenant) == ("zoe", "acme")
    token = access.create_token("acme", TokenInput(name="t", role="viewer"), created_by="zoe")
    assert access.by_token(token.token or "") is not None
    assert [u.name for u in access.users("acme")] == ["admin", "zoe"]
    access.delete_user("acme", made.id)
    assert access.by_session(opened.token) is None
    access.delete_token("acme", token.id)
    assert access.by_token(token.token or "") is None


def test_the_life_of_an_agent(kit: Kit) -> None:
    secret, reply, peer = kit.enrol()
    again = kit.agents.beat(peer, beat("i-1"))
    assert again.desired is None or again.desired
    fresh = Ed25519PrivateKey.generate()
    request = csr(fresh)
    proof = signing.sign(secret, "rotate", request)
    rotated = kit.agents.rotate(peer, RotateRequest(csr=request, proof=proof))
    newer = kit.agents.peer(reply.agent, serial_of(rotated.certificate))
    assert newer.key == fresh.public_key()
    ids = tasks.create(
        kit.engine,
        kit.keys,
        kit.clock,
        peer.tenant,
        peer.workload,
        kind="collect",
        args={},
        ttl_s=60,
        created_by="test",
    )
    assert len(kit.agents.beat(newer, beat("i-1")).tasks) == 1
    done = TaskResult(task=ids[0], outcome="done", message="a\0b", ended_ns=2**62)
    assert tasks.finish(kit.engine, newer, done, now_ns=kit.clock.wall) is True
    assert tasks.finish(kit.engine, newer, done, now_ns=kit.clock.wall) is False
    kit.agents.beat(newer, beat("i-2"))
    with pytest.raises(Cloned):
        kit.agents.beat(newer, beat("i-1"))
    _, _, other = kit.enrol()
    kit.agents.revoke(other.tenant, other.agent)
    with pytest.raises(Forbidden):
        kit.agents.beat(other, beat())


def test_the_ledger_replaces_a_window(kit: Kit) -> None:
    def entry(cpu_s: float) -> LedgerEntry:
        return LedgerEntry(
            capability="c",
            window_start_ns=10,
            window_s=60.0,
            cpu_s=cpu_s,
            bytes_out=2**40,
            rows=2**33,
            runs=1,
        )

    for cpu_s in (1.0, 2.5):
        with write(kit.engine) as db:
            ledger.record(db, "t", "w", "a", [entry(cpu_s)], now_ns=kit.clock.wall)
    with read(kit.engine) as db:
        assert ledger.totals(db, "t", "w", since_ns=0) == [entry(2.5)]
        whole = ledger.totals(db, "t", "w", since_ns=0)[0]
    assert [type(getattr(whole, n)) for n in ("cpu_s", "bytes_out", "rows")] == [float, int, int]


def test_a_job_is_done_by_one_of_two_servers(kit: Kit) -> None:
    ran: list[str] = []
    both = [
        Jobs(kit.engine, kit.clock, [Job("one", 10, lambda: ran.append("x") or "")], owner=owner)
        for owner in ("first", "second")
    ]
    for _ in range(5):
        kit.clock.forward(11)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda jobs: jobs.step(), both))
    assert len(ran) == 5


def test_believed_time_is_kept(kit: Kit) -> None:
    first = Steady(kit.engine, kit.clock).now_ns()
    kit.clock.wall += 10**17
    assert Steady(kit.engine, kit.clock).now_ns() == first
    kit.clock.wall -= 10**17


class Feeder:
    """Applies tables as successive batches of one workload."""

    def __init__(self, kit: Kit, home: str) -> None:
        self.kit, self.home = kit, home
        kit.home("default", home)
        self.assets = Assets(kit.engine, hostname=lambda _t, _w: "web-1")

    def __call__(self, *parts: wire.Table) -> Applied:
        self.kit.clock.forward(1)
        batch = wire.decode_batch(wire.encode_batch(parts))
        one = Incoming("default", self.home, self.kit.clock.wall, 1, batch.tables)
        return self.assets.apply([one], lambda _db, _done: None)

    def rows(self) -> dict[str, dict[str, Any]]:
        with read(self.kit.engine) as db:
            query = select(asset).where(asset.c.workload == self.home, asset.c.gone_ns.is_(None))
            return {r["key"]: dict(r) for r in db.execute(query).mappings()}

    def changes(self) -> list[tuple[str, str]]:
        with read(self.kit.engine) as db:
            query = select(asset_change.c.kind, asset_change.c.label)
            query = query.where(asset_change.c.workload == self.home).order_by(asset_change.c.seq)
            return [(kind, label) for kind, label in db.execute(query)]


def key(name: str) -> str:
    return Package(manager="dpkg", name=name, arch="amd64", version="1").key()


def packages(*named: tuple[str, str], epoch: int = 1, full: int = 1) -> wire.Table:
    rows = [Package(manager="dpkg", name=n, arch="amd64", version=v) for n, v in named]
    meta: dict[str, str | int] = {"epoch": epoch, "full": full, "part": 1, "parts": 1}
    return wire.encode_table(f"asset/{SUB}", Package, rows, meta)


def test_inventory_is_kept_changed_and_removed(kit: Kit) -> None:
    feed = Feeder(kit, "inventory")
    feed(packages(("a", "1"), ("b", "1"), epoch=2**40))
    feed(packages(("a", "2"), full=0, epoch=2**40))
    feed(packages(("a", "2"), ("c", "1"), epoch=2**40 + 1))
    gone = wire.encode_table(f"gone/{SUB}", GoneRow, [GoneRow(key=key("c"))])
    feed(gone)
    assert list(feed.rows()) == [key("a")]
    assert feed.changes() == [
        ("added", "a"),
        ("added", "b"),
        ("changed", "a"),
        ("added", "c"),
        ("removed", "b"),
        ("removed", "c"),
    ]


def test_hostile_rows_are_kept_in_a_form_that_every_backend_has(kit: Kit) -> None:
    feed = Feeder(kit, "hostile")
    # Random text does not compress: an index entry could not hold it.
    long = os.urandom(6000).hex()
    names = ("nul\0nul", long, "\\u0000", "\x1f\x7f\u2028", "\U0010ffff")
    for _ in range(2):
        done = feed(packages(*((n, "1") for n in names)))
        assert done.poison == []
    found = {msgspec.json.decode(r["fields"])["name"] for r in feed.rows().values()}
    assert found == {f"nul{dialect.NUL}nul", *names[1:]}
    assert len(feed.changes()) == len(names)
    filters = (('name = "nul\0nul"', f"nul{dialect.NUL}nul"), (f"name ~ {long[:100]}", long))
    for text_, wanted in filters:
        scope = AssetScope("default", SUB, text_, workload="hostile")
        page = inventory.assets(kit.engine, scope, None, 10, 0)
        assert [i.fields["name"] for i in page.items] == [wanted]
        assert inventory.detail(kit.engine, "default", page.items[0].id).asset == page.items[0]
    keys = [key(n) for n in (long, "nul\0nul")]
    edge = Relation(
        kind="loads",
        src_subclass=SUB,
        src_key=keys[0],
        dst_subclass=SUB,
        dst_key=keys[1],
        evidence="evidence \0",
    )
    rows = [RelationRow.of(edge)]
    assert feed(wire.encode_table("relation", RelationRow, rows)).poison == []
    detail = inventory.detail(kit.engine, "default", page.items[0].id)
    assert [e.asset is not None for e in detail.edges] == [True]
    gone = [GoneRow(key=k) for k in keys]
    feed(wire.encode_table(f"gone/{SUB}", GoneRow, gone))
    assert len(feed.rows()) == len(names) - 2


def test_numbers_beyond_32_bits_and_tables_that_cannot_be_kept(kit: Kit) -> None:
    feed = Feeder(kit, "numbers")
    huge = Collection(subclass=SUB, outcome="ok", rows=2**62, epoch=2**62, ended_ns=2**62)
    subclass = "x" + os.urandom(6000).hex()
    odd = Collection(subclass=subclass, outcome="ok", rows=1, epoch=1, ended_ns=1)
    done = feed(
        wire.encode_table("collection", CollectionRow, [CollectionRow.of(huge)]),
        wire.encode_table("collection", CollectionRow, [CollectionRow.of(odd)]),
        packages(("after", "1")),
    )
    assert [reason[:20] for _, _, reason in done.poison] == ["a name of 12001 char"]
    assert list(feed.rows()) == [key("after")]
    with read(kit.engine) as db:
        mine = select(collection.c.rows).where(
            collection.c.workload == "numbers", collection.c.subclass == SUB
        )
        assert db.execute(mine).scalar() == 2**62


def test_reading_writes_nothing_in_postgresql(kit: Kit) -> None:
    if kit.engine.dialect.name == "sqlite":
        pytest.skip("SQLite's readers are not refused a write")
    with pytest.raises(InternalError, match="read-only transaction"), read(kit.engine) as db:
        db.execute(text("INSERT INTO consumer (name, position) VALUES ('r', 1)"))
