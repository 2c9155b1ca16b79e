"""A data folder of version 0.1, killed in the middle of its work, under today's server."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from serverkit import Agent, ServerProcess, events

from hauberk.link import wire
from hauberk.store.database import open_database, sqlite_url
from hauberk.store.keys import Keys

GOLDEN = Path(__file__).parents[1] / "golden/data/data-0.1.tar.xz"
SUBCLASS = "software.os_package"
# The fixture's events age while this test stays.
KEEP = {"HAUBERK_EVENT_DAYS": "36500", "HAUBERK_CHANGE_DAYS": "36500"}
T = TypeVar("T")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def server(old: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(old, env=KEEP)
    made.start()
    yield made
    made.stop()


def eventually(look: Callable[[], T], timeout_s: float = 20) -> T:
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def facts(old: Path) -> dict[str, Any]:
    return msgspec.json.decode((old / "fixture.json").read_bytes())


def count(server: ServerProcess, filter_: str, tenant: str = "default") -> int:
    total, cursor = 0, ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page: Any = server.api("GET", f"/events?limit=500&filter={filter_}{more}", tenant=tenant)
        total += len(page["items"])
        if not (cursor := page["next"]):
            return total


def test_nothing_that_it_held_is_lost(server: ServerProcess, old: Path) -> None:
    told = facts(old)
    # What only the inbox had, too.
    eventually(lambda: count(server, "name=late") == told["late"])
    assert count(server, "name=sh") == told["events"]
    assert count(server, "name=other", "other") == told["other_events"]
    assert count(server, "name=other") == 0

    packages: Any = server.api("GET", f"/assets/{SUBCLASS}?limit=500")
    assert {p["fields"]["version"] for p in packages["items"]} == {"1", "2"}
    assert len(packages["items"]) == 40
    changes: Any = server.api("GET", "/changes?filter=kind=changed")
    assert [c["label"] for c in changes["items"]] == ["p39"]
    detail: Any = server.api("GET", f"/workloads/{told['workload']}")
    assert detail["schedule"]["every_s"] == {SUBCLASS: 600}
    assert detail["schedule"]["windows"] == []
    assert detail["budget"]["background_pct"] == 2.0
    assert detail["desired_version"] == 1
    tasks: Any = server.api("GET", f"/workloads/{told['workload']}/tasks")
    assert [t["kind"] for t in tasks["items"]] == ["collect"]
    assert server.api("GET", "/audit/verify")["intact"] is True  # type: ignore[index]
    users: Any = server.api("GET", "/users")
    assert [u["name"] for u in users] == ["anna"]


def test_its_lake_takes_the_columns_of_newer_agents(
    server: ServerProcess, old: Path, tmp_path: Path
) -> None:
    agent = Agent.enrolled(server, tmp_path / "new")
    agent.send(events(5, name="today"))
    eventually(lambda: count(server, "name=today") == 5)
    row = events(1, name="wider")
    batch = wire.decode_batch(row)
    table = batch.tables[0]
    named = next(c for c in table.columns if c.name == "name")
    extra = msgspec.structs.replace(named, name="from_the_future")
    wider = msgspec.structs.replace(table, columns=[*table.columns, extra])
    agent.send(wire.encode_batch([wider]))
    eventually(lambda: count(server, "name=wider") == 1)
    folder = server.folder / "lake/default/process_activity"
    stored = DeltaTable(str(folder)).to_pyarrow_table()
    values = stored.column("from_the_future")
    assert values.null_count == stored.num_rows - 1
    assert pa.compute.unique(values.drop_null()).to_pylist() == ["wider"]


def test_its_keys_and_its_schema_go_on(old: Path) -> None:
    keys = Keys(old / "server/keys", now_ns=time.time_ns())
    engine = open_database(sqlite_url(old / "server/state.db"))
    with engine.connect() as db:
        certified = db.exec_driver_sql("SELECT certificate_serial, state FROM agent").all()
        columns = {r[1] for r in db.exec_driver_sql("PRAGMA table_info(agent)")}
    assert [state for _, state in certified] == ["active", "active"]
    assert {"package", "goodbye", "budget_state"} <= columns
    assert keys.ca_pem == (old / "server/keys/ca.pem").read_bytes()
    engine.dispose()
