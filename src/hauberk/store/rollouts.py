"""Staged upgrades: who gets a package in which ring, and what people order about it.

`rollout_job` moves them on.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    and_,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.schema.ids import uuid_from
from hauberk.schema.link import PackageState
from hauberk.schema.view import Page, RolloutInput
from hauberk.schema.view_fleet import RolloutAgentView, RolloutView
from hauberk.store import desired, fleet, query
from hauberk.store.database import read, write
from hauberk.store.fleet import MS, ms_of
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent, workload
from hauberk.store.tables_fleet import package, rollout, rollout_agent

RUNNING = ("canary", "all", "paused")
OPEN = ("waiting", "offered", "trial")
BAD = ("rolled_back", "failed")
MAX_CANARY, MAX_SOAK_S = 1000, 14 * 86_400
_MAX_FILTER = 4096
_MANY = 500
Order = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent that a filter left. `skip` says why it gets nothing, "" when it does."""

    agent: str
    workload: str
    online: bool
    group: tuple[str, str, str]
    skip: str = ""


def create(engine: Engine, tenant: str, wish: RolloutInput, *, created_by: str, now_ns: int) -> str:
    """Begin a rollout; the id.

    Raises:
        BadInput, BadFilter: a value or the filter is wrong, or it leaves no agent.
        NotFound: no such package in this tenant.
        Conflict: no agent that it leaves can take the package; the reasons are counted.
    """
    _check(wish)
    name = uuid_from(secrets.token_bytes(16))
    with write(engine) as db:
        where = (package.c.tenant == tenant, package.c.sha256 == wish.sha256)
        what = db.execute(select(package).where(*where)).mappings().first()
        if what is None:
            raise NotFound("no such package in this tenant: add it first")
        found = _candidates(db, tenant, wish, what, now_ns)
        if not found:
            raise BadInput("it leaves no agent", source="filter")
        fit = [one for one in found if not one.skip]
        if not fit:
            reasons = Counter(one.skip for one in found)
            listed = "; ".join(f"{count} x {why}" for why, count in reasons.most_common(5))
            raise Conflict(f"none of {len(found)} agents can take this package: {listed}")
        first = choose(fit, wish.canary)
        ring = "canary" if first else "all"
        db.execute(
            insert(rollout).values(
                id=name,
                tenant=tenant,
                sha256=wish.sha256,
                filter=wish.filter,
                state=ring,
                ring=ring,
                canary=len(first),
                soak_s=wish.soak_s,
                max_failed_pct=wish.max_failed_pct,
                downgrade=wish.downgrade,
                created_by=created_by,
                created_ns=now_ns,
            )
        )
        db.execute(
            insert(rollout_agent),
            [
                {
                    "tenant": tenant,
                    "rollout": name,
                    "agent": one.agent,
                    "workload": one.workload,
                    "ring": "canary" if one.agent in first else "all",
                    "state": "skipped" if one.skip else "waiting",
                    "message": one.skip,
                    "at_ns": now_ns,
                }
                for one in found
            ],
        )
    return name


def choose(fit: Sequence[Candidate], count: int) -> AbstractSet[str]:
    """The canary ring: online agents, spread over sites and systems; offline where none is."""
    pool = [one for one in fit if one.online] or list(fit)
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in sorted(pool, key=lambda c: (c.group, c.agent)):
        groups.setdefault(one.group, []).append(one.agent)
    first: list[str] = []
    for turn in range(len(pool)):
        for members in groups.values():
            if len(first) == count:
                return frozenset(first)
            if turn < len(members):
                first.append(members[turn])
    return frozenset(first)


def order(engine: Engine, tenant: str, rollout_id: str, what: Order, *, now_ns: int) -> None:
    """Pause, resume or cancel. Cancelling takes the wish back from agents that have not started.

    Raises:
        NotFound: no such rollout in this tenant.
        Conflict: it is not in a state for this.
    """
    with write(engine) as db:
        row = _find(db, tenant, rollout_id)
        state = row["state"]
        allowed = {"pause": RUNNING[:2], "resume": ("paused",), "cancel": RUNNING}[what]
        if state not in allowed:
            raise Conflict(f"this rollout is {state}: it cannot {what}")
        values: dict[str, Any] = {"state": row["ring"]}
        if what == "pause":
            values["state"] = "paused"
        elif what == "cancel":
            values = {"state": "cancelled", "ended_ns": now_ns}
            withdraw(db, row, "cancelled before it started", now_ns=now_ns)
        db.execute(update(rollout).where(rollout.c.id == rollout_id).values(values))


def withdraw(db: Connection, row: RowMapping, why: str, *, now_ns: int) -> None:
    """Take the package back from the agents of a rollout that have not started."""
    mine = and_(rollout_agent.c.tenant == row["tenant"], rollout_agent.c.rollout == row["id"])
    offered = db.execute(
        select(rollout_agent.c.agent, rollout_agent.c.workload).where(
            mine, rollout_agent.c.state == "offered"
        )
    ).all()
    unwish(db, row["tenant"], row["sha256"], [one[0] for one in offered])
    desired.renew(db, row["tenant"], [one[1] for one in offered])
    db.execute(
        update(rollout_agent)
        .where(mine, rollout_agent.c.state.in_(("waiting", "offered")))
        .values(state="skipped", message=why, at_ns=now_ns)
    )


def unwish(db: Connection, tenant: str, sha256: str, agents: Sequence[str]) -> None:
    """These agents keep what they run, as far as it is this package that they should run."""
    for some in chunks(agents):
        db.execute(
            update(agent)
            .where(agent.c.tenant == tenant, agent.c.id.in_(some), agent.c.package == sha256)
            .values(package="", downgrade=False)
        )


def chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    """So few at a time that a statement can name them."""
    return (names[at : at + _MANY] for at in range(0, len(names), _MANY))


def page(
    engine: Engine, tenant: str, *, text: str, cursor: str | None, limit: int, now_ns: int
) -> Page[RolloutView]:
    """One page of the rollouts, newest first. Raises BadFilter, BadInput."""
    c = rollout.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "sha256": Field("str", c.sha256, nullable=False),
        "version": Field("str", package.c.version),
        "state": Field("str", c.state, nullable=False),
        "ring": Field("str", c.ring, nullable=False),
        "message": Field("str", c.message, nullable=False),
        "created_by": Field("str", c.created_by, nullable=False),
        "created_ms": Field("int", c.created_ns // MS, nullable=False),
        "ended_ms": Field("int", c.ended_ns // MS),
    }
    listing = Listing(_rows(tenant), fields, c.id, "-created_ms", ("rollouts", tenant))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
        items = _views(db, tenant, found.rows)
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def view(engine: Engine, tenant: str, rollout_id: str) -> RolloutView:
    """One rollout. Raises NotFound."""
    with read(engine) as db:
        return _views(db, tenant, [_find(db, tenant, rollout_id)])[0]


def agents(
    engine: Engine,
    tenant: str,
    rollout_id: str,
    *,
    text: str,
    sort: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[RolloutAgentView]:
    """One page of a rollout's agents, by host name. Raises NotFound, BadFilter, BadInput."""
    c = rollout_agent.c
    fields = {
        "agent": Field("str", c.agent, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "ring": Field("str", c.ring, nullable=False),
        "state": Field("str", c.state, nullable=False),
        "version": Field("str", agent.c.version),
        "message": Field("str", c.message, nullable=False),
        "at_ms": Field("int", c.at_ns // MS),
    }
    home = and_(workload.c.tenant == c.tenant, workload.c.id == c.workload)
    rows = (
        select(rollout_agent, workload.c.hostname, agent.c.version)
        .select_from(
            rollout_agent.outerjoin(workload, home).outerjoin(agent, agent.c.id == c.agent)
        )
        .where(c.tenant == tenant, c.rollout == rollout_id)
    )
    scope = ("rollout", tenant, rollout_id)
    listing = Listing(rows, fields, c.agent, "hostname", scope)
    with read(engine) as db:
        _find(db, tenant, rollout_id)
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
    items = [_agent(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def _check(wish: RolloutInput) -> None:
    if not 0 <= wish.canary <= MAX_CANARY:
        raise BadInput(f"0 to {MAX_CANARY}", source="canary")
    if not 0 <= wish.soak_s <= MAX_SOAK_S:
        raise BadInput(f"0 to {MAX_SOAK_S} seconds", source="soak_s")
    if not 0 <= wish.max_failed_pct <= 100:
        raise BadInput("0 to 100 %", source="max_failed_pct")
    if len(wish.filter) > _MAX_FILTER:
        raise BadInput(f"at most {_MAX_FILTER} characters", source="filter")


def _candidates(
    db: Connection, tenant: str, wish: RolloutInput, what: RowMapping, now_ns: int
) -> list[Candidate]:
    listing = fleet.agent_listing(tenant, now_ns)
    rows = query.narrow(db, listing, wish.filter).add_columns(workload.c.facts)
    busy = _busy(db, tenant)
    found: list[Candidate] = []
    for row in db.execute(rows).mappings():
        facts = msgspec.json.decode(row["facts"] or "{}", type=dict[str, Any])
        found.append(
            Candidate(
                agent=row["id"],
                workload=row["workload"],
                online=row["shown"] in ("online", "late") and not row["goodbye"],
                group=(row["site"] or "", facts.get("os", ""), facts.get("os_version", "")),
                skip=_reason(row, facts, what, busy, downgrade=wish.downgrade),
            )
        )
    return found


def _reason(
    row: RowMapping,
    facts: Mapping[str, Any],
    what: RowMapping,
    busy: Mapping[str, str],
    *,
    downgrade: bool,
) -> str:
    """Why an agent gets nothing, else ""."""
    runs = msgspec.json.decode(row["package_state"], type=PackageState | None)
    runs = runs or PackageState(state="none")
    arch = facts.get("arch", "")
    reasons = (
        (row["state"] != "active", f"it is {row['state']}"),
        (row["goodbye"] == "uninstall", "it was uninstalled"),
        (row["id"] in busy, f"it is in rollout {busy.get(row['id'])}"),
        (
            runs.state == "none",
            "it was not installed from a package and cannot upgrade itself",
        ),
        (
            arch != what["arch"],
            f"its architecture is {arch or 'not known'}, the package's {what['arch']}",
        ),
        (runs.state == "current" and runs.sha256 == what["sha256"], "it runs this package"),
        (
            runs.sequence > what["sequence"] and not downgrade,
            "it runs a newer package, and a downgrade was not asked for",
        ),
    )
    return next((why for hit, why in reasons if hit), "")


def _busy(db: Connection, tenant: str) -> dict[str, str]:
    """Rollout per agent that is in one."""
    rows = db.execute(
        select(rollout_agent.c.agent, rollout_agent.c.rollout)
        .join(
            rollout,
            and_(
                rollout.c.tenant == rollout_agent.c.tenant,
                rollout.c.id == rollout_agent.c.rollout,
            ),
        )
        .where(
            rollout.c.tenant == tenant,
            rollout.c.state.in_(RUNNING),
            rollout_agent.c.state.in_(OPEN),
        )
    )
    return {row[0]: row[1] for row in rows}


def _rows(tenant: str) -> Select[Any]:
    what = and_(package.c.tenant == rollout.c.tenant, package.c.sha256 == rollout.c.sha256)
    return (
        select(rollout, package.c.version)
        .select_from(rollout.outerjoin(package, what))
        .where(rollout.c.tenant == tenant)
    )


def _find(db: Connection, tenant: str, rollout_id: str) -> RowMapping:
    row = db.execute(_rows(tenant).where(rollout.c.id == rollout_id)).mappings().first()
    if row is None:
        raise NotFound("no such rollout in this tenant")
    return row


def _views(db: Connection, tenant: str, rows: Sequence[RowMapping]) -> list[RolloutView]:
    states: dict[str, dict[str, int]] = {row["id"]: {} for row in rows}
    counted = db.execute(
        select(rollout_agent.c.rollout, rollout_agent.c.state, func.count())
        .where(rollout_agent.c.tenant == tenant, rollout_agent.c.rollout.in_(states))
        .group_by(rollout_agent.c.rollout, rollout_agent.c.state)
    )
    for name, state, count in counted:
        states[name][state] = count
    return [
        RolloutView(
            id=row["id"],
            sha256=row["sha256"],
            version=row["version"] or "",
            filter=row["filter"],
            state=row["state"],
            ring=row["ring"],
            canary=row["canary"],
            soak_s=row["soak_s"],
            max_failed_pct=row["max_failed_pct"],
            downgrade=row["downgrade"],
            total=sum(states[row["id"]].values()),
            states=states[row["id"]],
            message=row["message"],
            created_by=row["created_by"],
            created_ms=row["created_ns"] // MS,
            ended_ms=ms_of(row["ended_ns"]),
        )
        for row in rows
    ]


def _agent(row: RowMapping) -> RolloutAgentView:
    return RolloutAgentView(
        agent=row["agent"],
        workload=row["workload"],
        hostname=row["hostname"] or "",
        ring=row["ring"],
        state=row["state"],
        version=row["version"] or "",
        message=row["message"],
        at_ms=ms_of(row["at_ns"]),
    )
