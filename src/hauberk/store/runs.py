"""Runs: one order to many machines, how far it is, and calling it off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.ports import Clock
from hauberk.schema.view import Page, RunInput
from hauberk.schema.view_fleet import RunTaskView, RunView
from hauberk.store import fleet, orders, query, tasks
from hauberk.store.database import read, write
from hauberk.store.dialect import storable
from hauberk.store.fleet import MS, ms_of
from hauberk.store.keys import Keys
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent, task, workload
from hauberk.store.tables_fleet import run

MAX_MACHINES = 50_000
_NOBODY = "no active agent on this machine: enrol it again, then repeat the order"


def create(
    engine: Engine, keys: Keys, clock: Clock, tenant: str, order: RunInput, *, created_by: str
) -> str:
    """Order something from every machine that the filter leaves, in one transaction.

    A machine without an active agent gets a task too, refused from the start.

    Returns:
        The run's id.

    Raises:
        BadFilter: the filter is wrong.
        BadInput: it leaves no machine or too many; an unknown subclass; an absurd life.
    """
    orders.check_task(order.subclasses, order.ttl_s)
    now = clock.wall_ns()
    args = {"subclasses": order.subclasses}
    until = now + int(order.ttl_s * 1e9)
    id_ = tasks.new_id()
    with write(engine) as db:
        chosen = query.narrow(db, fleet.workload_listing(tenant), order.filter)
        ids = chosen.with_only_columns(workload.c.id)
        homes = set(db.execute(ids.limit(MAX_MACHINES + 1)).scalars())
        if not homes:
            raise BadInput("the filter leaves no machine", source="filter")
        if len(homes) > MAX_MACHINES:
            raise BadInput(
                f"the filter leaves more than {MAX_MACHINES:,} machines: narrow it", source="filter"
            )
        found = tasks.next_sequences(db, tenant, agent.c.workload.in_(ids))
        alone = sorted(homes - {home for _, home, _ in found})
        db.execute(
            insert(run).values(
                id=id_,
                tenant=tenant,
                kind=order.kind,
                args=msgspec.json.encode(args).decode(),
                filter=storable(order.filter),
                total=len(found) + len(alone),
                created_by=created_by,
                created_ns=now,
                not_after_ns=until,
            )
        )
        common = tasks.Order(tenant, order.kind, until, order.ttl_s, created_by, id_)
        targets = (tasks.Target(name, home, number, args) for name, home, number in found)
        tasks.issue(db, keys, common, targets, now_ns=now)
        _refuse(db, common, alone, now)
        tasks.close_runs(db, now_ns=now, run_id=id_)
    return id_


def _refuse(db: Connection, order: tasks.Order, homes: Sequence[str], now_ns: int) -> None:
    for first in range(0, len(homes), tasks.CHUNK):
        rows = [
            {
                "id": tasks.new_id(),
                "tenant": order.tenant,
                "workload": home,
                "agent": "",
                "sequence": 0,
                "kind": order.kind,
                "state": "refused",
                "signed": b"",
                "created_by": order.created_by,
                "created_ns": now_ns,
                "not_after_ns": order.not_after_ns,
                "message": _NOBODY,
                "ended_ns": now_ns,
                "run": order.run,
            }
            for home in homes[first : first + tasks.CHUNK]
        ]
        db.execute(insert(task), rows)


def page(
    engine: Engine, tenant: str, *, text: str, cursor: str | None, limit: int, now_ns: int
) -> Page[RunView]:
    """One page of the runs, newest first. Raises BadFilter, BadInput."""
    c = run.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "kind": Field("str", c.kind, nullable=False),
        "state": Field("str", _state(now_ns), nullable=False),
        "filter": Field("str", c.filter, nullable=False),
        "total": Field("int", c.total, nullable=False),
        "created_by": Field("str", c.created_by, nullable=False),
        "created_ms": Field("int", c.created_ns // MS, nullable=False),
        "ended_ms": Field("int", c.ended_ns // MS),
    }
    rows = select(run, _state(now_ns).label("shown")).where(c.tenant == tenant)
    listing = Listing(rows, fields, c.id, "-created_ms", ("runs", tenant))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
        items = _views(db, tenant, found.rows, now_ns)
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def view(engine: Engine, tenant: str, run_id: str, now_ns: int) -> RunView:
    """One run. Raises NotFound."""
    with read(engine) as db:
        return _views(db, tenant, [_find(db, tenant, run_id, now_ns)], now_ns)[0]


def run_tasks(
    engine: Engine,
    tenant: str,
    run_id: str,
    *,
    text: str,
    sort: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[RunTaskView]:
    """One page of a run's tasks, by host name. Raises NotFound, BadFilter, BadInput."""
    listing = _task_listing(tenant, run_id, now_ns)
    with read(engine) as db:
        _find(db, tenant, run_id, now_ns)
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
    items = [_task(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def all_run_tasks(
    engine: Engine, tenant: str, run_id: str, *, text: str, sort: str, now_ns: int
) -> Iterator[RunTaskView]:
    """Every task of a run, without a cap. Raises NotFound, BadFilter."""
    with read(engine) as db:
        _find(db, tenant, run_id, now_ns)
    listing = _task_listing(tenant, run_id, now_ns)
    rows = query.every(partial(read, engine), listing, text=text, sort=sort)
    return (_task(row) for row in rows)


def cancel(
    engine: Engine, keys: Keys, tenant: str, run_id: str, *, created_by: str, now_ns: int
) -> tuple[int, int]:
    """Call off what is still open of a run; a cancelled one stays as it is.

    Returns:
        (tasks cancelled now, tasks whose agents were asked to stop).

    Raises:
        NotFound: no such run.
        Conflict: it is done.
    """
    with write(engine) as db:
        row = _find(db, tenant, run_id, now_ns)
        if row["shown"] == "cancelled":
            return 0, 0
        if row["shown"] != "running":
            raise Conflict("this run is done: nothing is left to cancel")
        db.execute(update(run).where(run.c.id == run_id).values(state="cancelled"))
        count = tasks.cancel(
            db, keys, tenant, task.c.run == run_id, created_by=created_by, now_ns=now_ns
        )
        tasks.close_runs(db, now_ns=now_ns, run_id=run_id)
    return count


def cancel_task(
    engine: Engine, keys: Keys, tenant: str, task_id: str, *, created_by: str, now_ns: int
) -> None:
    """Call off one task, of a run or not; a cancelled one stays as it is.

    Raises:
        NotFound: no such task.
        Conflict: it has ended, or is itself a cancel order.
    """
    with write(engine) as db:
        query_ = orders.task_rows(tenant, now_ns).where(task.c.id == task_id)
        row = db.execute(query_).mappings().first()
        if row is None:
            raise NotFound("no such task in this tenant")
        if row["shown"] == "cancelled":
            return
        if row["shown"] not in tasks.OPEN or row["kind"] == "cancel":
            raise Conflict(f"a {row['kind']} task that is {row['shown']} cannot be cancelled")
        asked = select(task.c.id).where(
            task.c.tenant == tenant,
            task.c.agent == row["agent"],
            task.c.kind == "cancel",
            task.c.state.in_(tasks.OPEN),
            task.c.message.contains(task_id, autoescape=True),
        )
        if db.execute(asked.limit(1)).first() is None:
            tasks.cancel(
                db, keys, tenant, task.c.id == task_id, created_by=created_by, now_ns=now_ns
            )
        if row["run"]:
            tasks.close_runs(db, now_ns=now_ns, run_id=row["run"])


def _state(now_ns: int) -> ColumnElement[str]:
    """A run whose time is over is done, whether or not the job has written it down yet."""
    over = and_(run.c.state == "running", run.c.not_after_ns <= now_ns)
    return case((over, literal("done")), else_=run.c.state)


def _find(db: Connection, tenant: str, run_id: str, now_ns: int) -> RowMapping:
    where = (run.c.tenant == tenant, run.c.id == run_id)
    row = db.execute(select(run, _state(now_ns).label("shown")).where(*where)).mappings().first()
    if row is None:
        raise NotFound("no such run in this tenant")
    return row


def _views(db: Connection, tenant: str, rows: Sequence[RowMapping], now_ns: int) -> list[RunView]:
    over = {row["id"]: row["not_after_ns"] <= now_ns for row in rows}
    states: dict[str, dict[str, int]] = {id_: defaultdict(int) for id_ in over}
    counts = (
        select(task.c.run, task.c.state, func.count())
        .where(task.c.tenant == tenant, task.c.run.in_(list(over)))
        .group_by(task.c.run, task.c.state)
    )
    for id_, state, number in db.execute(counts):
        # All tasks of a run expire with it.
        shown = "expired" if over[id_] and state in tasks.OPEN else state
        states[id_][shown] += number
    return [_view(row, dict(states[row["id"]]), now_ns) for row in rows]


def _view(row: RowMapping, states: dict[str, int], now_ns: int) -> RunView:
    ended = row["ended_ns"]
    if ended is None and row["not_after_ns"] <= now_ns:
        ended = row["not_after_ns"]
    return RunView(
        id=row["id"],
        kind=row["kind"],
        args=msgspec.json.decode(row["args"], type=dict[str, Any]),
        filter=row["filter"],
        state=row["shown"],
        total=row["total"],
        states=states,
        created_by=row["created_by"],
        created_ms=row["created_ns"] // MS,
        not_after_ms=row["not_after_ns"] // MS,
        ended_ms=ms_of(ended),
    )


def _task_listing(tenant: str, run_id: str, now_ns: int) -> Listing:
    c = task.c
    home = and_(workload.c.tenant == c.tenant, workload.c.id == c.workload)
    rows = (
        orders.task_rows(tenant, now_ns)
        .add_columns(workload.c.hostname)
        .select_from(task.outerjoin(workload, home))
        .where(c.run == run_id)
    )
    fields = {
        "id": Field("str", c.id, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "kind": Field("str", c.kind, nullable=False),
        "state": Field("str", orders.task_state(now_ns), nullable=False),
        "message": Field("str", c.message, nullable=False),
        "ended_ms": Field("int", c.ended_ns // MS),
    }
    return Listing(rows, fields, c.id, "hostname", ("run-tasks", tenant, run_id))


def _task(row: RowMapping) -> RunTaskView:
    view_ = orders.task_of(row)
    return RunTaskView(hostname=row["hostname"] or "", **msgspec.structs.asdict(view_))
