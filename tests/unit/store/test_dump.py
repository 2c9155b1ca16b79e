from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, inspect, select
from storekit import Kit

from hauberk.errors import BadInput, Conflict, Unsupported
from hauberk.store import audit, dump
from hauberk.store.access import ensure_admin
from hauberk.store.database import migrate, open_database, read, sqlite_url, write
from hauberk.store.tables import agent, asset_change, consumer, metadata, tenant


def filled(kit: Kit) -> None:
    kit.enrol()
    with write(kit.engine) as db:
        db.execute(insert(tenant).values(id="default", title="默认\u0000", created_ns=1))
        db.execute(insert(consumer).values(name="state", position=7))
        db.execute(
            insert(asset_change).values(
                seq=9, tenant="default", workload="w", subclass="s", asset="a", label="l",
                at_ns=1, kind="added",
            )
        )  # fmt: skip
    ensure_admin(kit.engine, kit.clock)


def content(engine) -> dict[str, list[tuple]]:
    with read(engine) as db:
        return {
            t.name: sorted(map(tuple, db.execute(select(t))), key=repr)
            for t in metadata.sorted_tables
        }


@pytest.fixture
def empty(tmp_path: Path):
    engine = open_database(sqlite_url(tmp_path / "other.db"), upgrade=False)
    yield engine
    engine.dispose()


def test_every_row_comes_back_but_passing_ones(kit: Kit, empty) -> None:
    filled(kit)
    before = content(kit.engine)
    with read(kit.engine) as db:
        chunks = list(dump.save(db))
    count = dump.load(empty, dump.revision(kit.engine), chunks)
    after = content(empty)
    assert before.pop("consumer") == [("state", 7)]
    assert after.pop("consumer") == []
    assert before == after
    assert count == sum(map(len, after.values()))
    assert after["agent"][0][3] == before["agent"][0][3]
    assert isinstance(after["agent"][0][3], bytes)
    assert audit.verify(empty, "default").intact


def test_rows_of_an_older_schema_are_upgraded(kit: Kit, empty, tmp_path: Path) -> None:
    filled(kit)
    older = open_database(sqlite_url(tmp_path / "older.db"), upgrade=False)
    migrate(older, to="0002")
    known = {c["name"] for c in inspect(older).get_columns("agent")}
    older.dispose()
    with read(kit.engine) as db:
        row = db.execute(select(agent)).mappings().one()
    lines = msgspec.json.encode({k: v for k, v in row.items() if k in known}) + b"\n"
    assert known < row.keys()
    dump.load(empty, "0002", [("agent", lines)])
    with read(empty) as db:
        assert db.execute(select(agent.c.package_state)).scalar() == "null"


def test_a_database_that_holds_something_is_left_alone(kit: Kit) -> None:
    with pytest.raises(Conflict, match="holds a state already"):
        dump.load(kit.engine, dump.revision(kit.engine), [])


def test_rows_of_a_newer_version_are_refused(empty) -> None:
    with pytest.raises(Unsupported, match="newer Hauberk"):
        dump.load(empty, "9999", [])


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("tenant", b'{"id": "a", "title": "A", "created_ns": 1}\n[]\n', "state/tenant:2"),
        ("tenant", b'{"id": "a", "wrong": 1}\n', "wrong"),
        ("agent", b'{"public_key": "%%%"}\n', "not a row"),
        ("no_table", b"{}\n", "no table"),
        ("lease", b"{}\n", "no table"),
    ],
)
def test_wrong_lines_are_named(kit: Kit, empty, name: str, lines: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        dump.load(empty, dump.revision(kit.engine), [(name, lines)])
