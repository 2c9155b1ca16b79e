from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import event, func, insert, select
from storekit import DAY_NS, NOW_NS, TABLE, Kit, rows

from hauberk.store import tasks
from hauberk.store.accounts import ensure_tenant
from hauberk.store.database import read, write
from hauberk.store.jobs import Jobs
from hauberk.store.lake import Lake
from hauberk.store.lake_files import FolderFiles
from hauberk.store.tables import asset, asset_change, job, session, task
from hauberk.store.upkeep import Keep, expired, fleet_jobs, forgotten, jobs


def test_every_job_runs(kit: Kit, tmp_path: Path) -> None:
    lake = Lake(FolderFiles(tmp_path / "lake"), app_id="inbox:1")
    for n in range(10):
        lake.append("t", TABLE, rows(1, first=n), position=n + 1)
    lake.append("t", TABLE, rows(1, received_ns=NOW_NS - 9 * DAY_NS), position=11)
    keep = Keep(event_days=3)
    work = Jobs(kit.engine, kit.clock, jobs(kit.engine, lake, kit.clock, keep), owner="me")
    kit.clock.forward(1000)
    ran = 0
    while work.step():
        ran += 1
    assert ran == 6
    files = lake.files("t", TABLE)
    assert (len(files), sum(f.rows for f in files)) == (1, 10)


def test_what_is_over_goes(kit: Kit) -> None:
    now = NOW_NS + 100 * DAY_NS
    common = {"tenant": "default", "workload": "w", "subclass": "s"}
    with write(kit.engine) as db:
        ensure_tenant(db, "default", "", 1)
        for name, ends in (("old", now - 1), ("new", now + 1)):
            values = {"token_hash": name, "created_ns": 1, "expires_ns": ends}
            db.execute(insert(session).values(**values))
        for name, gone in (("here", None), ("gone", now - 31 * DAY_NS), ("just", now - 1)):
            times = {"first_seen_ns": 1, "changed_ns": 1, "last_seen_ns": 1, "gone_ns": gone}
            db.execute(insert(asset).values(key=name, id=name, **common, **times))
        db.execute(insert(asset_change).values(at_ns=now - 91 * DAY_NS, **common))
    assert expired(kit.engine, now) == 1
    assert forgotten(kit.engine, now, Keep()) == 2
    with read(kit.engine) as db:
        assert db.execute(select(session.c.token_hash)).scalars().all() == ["new"]
        assert sorted(db.execute(select(asset.c.key)).scalars()) == ["here", "just"]
        assert db.execute(select(func.count()).select_from(asset_change)).scalar() == 0


def test_a_jump_of_years_deletes_nothing_at_once(kit: Kit, tmp_path: Path) -> None:
    lake = Lake(FolderFiles(tmp_path / "lake"), app_id="inbox:1")
    for n in range(3):
        lake.append("t", TABLE, rows(1, first=n, received_ns=NOW_NS - n * DAY_NS), position=n + 1)
    with write(kit.engine) as db:
        values = {"tenant": "default", "workload": "w", "subclass": "s", "at_ns": NOW_NS}
        ensure_tenant(db, "default", "", 1)
        db.execute(insert(asset_change).values(**values))

    def run() -> tuple[int, int]:
        work = Jobs(kit.engine, kit.clock, jobs(kit.engine, lake, kit.clock, Keep()), owner="me")
        for kind in ("expire", "forget", "retain"):
            work.hasten(kind)
        while work.step():
            pass
        with read(kit.engine) as db:
            changes = db.execute(select(func.count()).select_from(asset_change)).scalar_one()
        return sum(f.rows for f in lake.files("t", TABLE)), changes

    assert run() == (3, 1)
    kit.clock.wall += 2000 * DAY_NS
    assert run() == (3, 1)
    assert run() == (3, 1)  # not after a restart either
    with read(kit.engine) as db:
        said = db.execute(select(job.c.message).where(job.c.id == "retain")).scalar_one()
    assert "2000 days ahead" in said


def test_old_tasks_go(kit: Kit) -> None:
    with write(kit.engine) as db:
        for name, ends in (("old", NOW_NS - 91 * DAY_NS), ("new", NOW_NS)):
            values = {"id": name, "sequence": 1, "signed": b"", "created_ns": 1}
            db.execute(insert(task).values(not_after_ns=ends, **values))
    assert forgotten(kit.engine, NOW_NS, Keep()) == 1
    with read(kit.engine) as db:
        assert db.execute(select(task.c.id)).scalars().all() == ["new"]


def test_the_jobs_that_watch_over_agents(kit: Kit) -> None:
    found = {job.kind: job for job in fleet_jobs(kit.engine, kit.clock, lambda _t, _n: None)}
    assert set(found) == {"rollout", "alarms"}
    assert found["rollout"].run() == "0 rollouts under way"
    assert "more to beat" in found["alarms"].run()


def test_no_job_walks_through_a_large_table(kit: Kit) -> None:
    said: list[tuple[str, Any]] = []

    def note(_db: Any, _cursor: Any, sql: str, values: Any, *_more: Any) -> None:
        said.append((sql, values))

    event.listen(kit.engine, "before_cursor_execute", note)
    with write(kit.engine) as db:
        ensure_tenant(db, "default", "", 1)
        tasks.expire(db, now_ns=NOW_NS)
    forgotten(kit.engine, NOW_NS, Keep())
    event.remove(kit.engine, "before_cursor_execute", note)
    plans: list[str] = []
    with read(kit.engine) as db:
        for sql, values in said:
            if sql.startswith(("DELETE", "UPDATE")):
                rows = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                plans += [row[3] for row in rows]
    for table in ("asset", "asset_change", "ledger", "task"):
        found = [plan for plan in plans if plan.split()[1] == table]
        assert found, table
        assert all(plan.startswith("SEARCH") for plan in found), found
