"""The job that moves rollouts on: offers the package, follows each agent, opens the next ring.

All it knows is in the state, so that it may end anywhere and go on elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, and_, func, or_, select, update
from sqlalchemy.engine import RowMapping

from hauberk.ports import Clock
from hauberk.schema.link import PackageState, Schedule
from hauberk.store import audit, desired
from hauberk.store.database import read, write
from hauberk.store.fleet import OFFLINE_S
from hauberk.store.rollouts import BAD, OPEN, RUNNING, chunks, unwish, withdraw
from hauberk.store.tables import agent, workload
from hauberk.store.tables_fleet import rollout, rollout_agent

# An agent that took the order and does nothing for so long has failed, unless it has windows.
STUCK_S = 3600
# One that began to run the package and fell silent for so long has failed.
TRIAL_S = 900
# What an agent told of an earlier try counts no longer than this.
STALE_S = 600
CONFIRM = "runs it; one more beat to come"
FETCHES = "it fetches the package"
STALE = "failed with it before; tries again"
# How many go at once in the last ring, so that halting still saves somebody.
_LEAST_AT_ONCE, _SHARE_AT_ONCE = 20, 0.2
_S = 1_000_000_000
_JUMP_NS = 30 * _S
_MAX_MESSAGE = 500

Publish = Callable[[str], None]
"""(tenant): its rollouts changed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an agent's row becomes."""

    state: str
    message: str
    at_ns: int


class Follower:
    """One per process: it watches the clock, since a jump must not fail a fleet."""

    def __init__(self, engine: Engine, clock: Clock, publish: Publish) -> None:
        self._engine, self._clock, self._publish = engine, clock, publish
        self._offset_ns = clock.wall_ns() - clock.mono_ns()
        self._patient_until_ns = 0

    def step(self) -> str:
        """Move every running rollout on; a line for people."""
        wall, mono = self._clock.wall_ns(), self._clock.mono_ns()
        jumped = abs(wall - mono - self._offset_ns) > _JUMP_NS
        self._offset_ns = wall - mono
        if jumped:
            self._patient_until_ns = mono + STUCK_S * _S
        with read(self._engine) as db:
            names = db.execute(
                select(rollout.c.id).where(rollout.c.state.in_(RUNNING)).order_by(rollout.c.id)
            ).scalars()
            running = list(names)
        changed: set[str] = set()
        for name in running:
            with write(self._engine) as db:
                row = db.execute(select(rollout).where(rollout.c.id == name)).mappings().one()
                if row["state"] not in RUNNING:
                    continue
                one = _Rollout(db, row, wall, patient=mono < self._patient_until_ns)
                if one.move(jumped=jumped):
                    changed.add(row["tenant"])
        for tenant in changed:
            self._publish(tenant)
        return f"{len(running)} rollouts under way"


class _Rollout:
    """One rollout within one transaction."""

    def __init__(self, db: Connection, row: RowMapping, now_ns: int, *, patient: bool) -> None:
        self._db, self._row, self._now, self._patient = db, row, now_ns, patient
        self._mine = and_(
            rollout_agent.c.tenant == row["tenant"], rollout_agent.c.rollout == row["id"]
        )

    def move(self, *, jumped: bool) -> bool:
        """Whether anything changed."""
        changed = self._follow()
        counts = self._counts()
        for ring in ("canary", "all"):
            if self._halts(ring, counts):
                return True
        if self._row["state"] == "paused":
            return changed
        if self._row["ring"] == "canary":
            return self._canary(counts, jumped=jumped) or changed
        return self._all(counts) or changed

    def _follow(self) -> bool:
        """Take over what the agents told since."""
        c = rollout_agent.c
        watched: ColumnElement[bool] = c.state.in_(OPEN)
        if self._row["ring"] == "canary":
            watched = or_(watched, and_(c.ring == "canary", c.state == "healthy"))
        home = and_(workload.c.tenant == c.tenant, workload.c.id == c.workload)
        rows = self._db.execute(
            select(
                rollout_agent,
                agent.c.state.label("identity"),
                agent.c.package_state,
                agent.c.last_beat_ns,
                agent.c.acknowledged_version,
                workload.c.desired_version,
                workload.c.schedule,
            )
            .select_from(
                rollout_agent.outerjoin(agent, agent.c.id == c.agent).outerjoin(workload, home)
            )
            .where(self._mine, watched)
        ).mappings()
        failed: list[str] = []
        changed = False
        for row in rows.all():
            verdict = judge(row, self._row["sha256"], self._now, patient=self._patient)
            if verdict is None:
                continue
            changed = True
            if verdict.state in BAD:
                failed.append(row["agent"])
            self._db.execute(
                update(rollout_agent)
                .where(self._mine, c.agent == row["agent"])
                .values(
                    state=verdict.state,
                    message=verdict.message[:_MAX_MESSAGE],
                    at_ns=verdict.at_ns,
                )
            )
        unwish(self._db, self._row["tenant"], self._row["sha256"], failed)
        return changed

    def _counts(self) -> dict[tuple[str, str], int]:
        c = rollout_agent.c
        rows = self._db.execute(
            select(c.ring, c.state, func.count()).where(self._mine).group_by(c.ring, c.state)
        )
        return {(ring, state): count for ring, state, count in rows}

    def _halts(self, ring: str, counts: dict[tuple[str, str], int]) -> bool:
        total = sum(n for (r, state), n in counts.items() if r == ring and state != "skipped")
        bad = sum(counts.get((ring, state), 0) for state in BAD)
        if not bad or bad * 100 <= self._row["max_failed_pct"] * total:
            return False
        what = "canary agents" if ring == "canary" else "agents of the last ring"
        self._halt(f"{bad} of {total} {what} failed or rolled back")
        return True

    def _halt(self, why: str) -> None:
        withdraw(self._db, self._row, "halted before it started", now_ns=self._now)
        self._set("rollout.halted", state="halted", message=why, ended_ns=self._now)

    def _canary(self, counts: dict[tuple[str, str], int], *, jumped: bool) -> bool:
        if any(counts.get(("canary", state)) for state in OPEN):
            if self._row["ring_ns"] is not None:
                self._set("", ring_ns=None)
            return self._offer("canary", counts.get(("canary", "waiting"), 0))
        if not counts.get(("canary", "healthy")):
            self._halt("no canary agent is left that could tell whether the package is good")
            return True
        if self._row["ring_ns"] is None or jumped:
            self._set("", ring_ns=self._now)
            return True
        soaked_ns = self._row["ring_ns"] + int(self._row["soak_s"] * 1e9)
        if self._now < soaked_ns or self._silent_since(soaked_ns):
            return False
        self._set("rollout.next", state="all", ring="all", ring_ns=None)
        self._all(counts)
        return True

    def _silent_since(self, heard: int) -> bool:
        """Whether a canary agent that is healthy has said nothing since: perhaps it is dead."""
        c = rollout_agent.c
        query = (
            select(c.agent)
            .join(agent, agent.c.id == c.agent)
            .where(self._mine, c.ring == "canary", c.state == "healthy")
            .where(or_(agent.c.last_beat_ns.is_(None), agent.c.last_beat_ns < heard))
        )
        return self._db.execute(query.limit(1)).first() is not None

    def _all(self, counts: dict[tuple[str, str], int]) -> bool:
        if not any(counts.get((ring, state)) for ring in ("canary", "all") for state in OPEN):
            self._set("rollout.done", state="done", ended_ns=self._now)
            return True
        total = sum(n for (ring, _), n in counts.items() if ring == "all")
        c = rollout_agent.c
        # Those that take long (offline again, waiting for a window) hold up nobody.
        under_way = self._db.execute(
            select(func.count())
            .select_from(rollout_agent)
            .where(self._mine, c.state.in_(OPEN[1:]), c.at_ns > self._now - TRIAL_S * _S)
        ).scalar_one()
        return self._offer("all", max(_LEAST_AT_ONCE, int(total * _SHARE_AT_ONCE)) - under_way)

    def _offer(self, ring: str, most: int) -> bool:
        """Offer the package to so many waiting agents that are there."""
        if most <= 0:
            return False
        c = rollout_agent.c
        rows = self._db.execute(
            select(c.agent, c.workload, agent.c.package_state)
            .join(agent, agent.c.id == c.agent)
            .where(self._mine, c.ring == ring, c.state == "waiting")
            .where(agent.c.state == "active", agent.c.goodbye != "uninstall")
            .where(agent.c.last_beat_ns >= self._now - OFFLINE_S * _S)
            .order_by(c.agent)
            .limit(most)
        ).all()
        again = {row[0] for row in rows if _failed_before(row[2], self._row["sha256"])}
        names = [row[0] for row in rows]
        for some in chunks(names):
            self._db.execute(
                update(agent)
                .where(agent.c.id.in_(some))
                .values(package=self._row["sha256"], downgrade=self._row["downgrade"])
            )
        self._offered([n for n in names if n not in again], "")
        self._offered([n for n in names if n in again], STALE)
        desired.renew(self._db, self._row["tenant"], [row[1] for row in rows])
        return bool(rows)

    def _offered(self, names: Sequence[str], message: str) -> None:
        for some in chunks(names):
            self._db.execute(
                update(rollout_agent)
                .where(self._mine, rollout_agent.c.agent.in_(some))
                .values(state="offered", message=message, at_ns=self._now)
            )

    def _set(self, action: str, **values: Any) -> None:
        row = self._row
        self._db.execute(update(rollout).where(rollout.c.id == row["id"]).values(values))
        if action:
            audit.add(
                self._db,
                tenant=row["tenant"],
                at_ns=self._now,
                actor="server:rollout",
                action=action,
                target=row["id"],
                detail={"message": values.get("message", ""), "outcome": "done"},
            )


def judge(row: RowMapping, sha256: str, now_ns: int, *, patient: bool) -> Verdict | None:
    """What an agent's row becomes by its last beat, or None when it stays.

    Args:
        row: of rollout_agent, with the agent's identity, package_state, last_beat_ns,
            acknowledged_version, and the workload's desired_version and schedule.
        sha256: of the package.
        now_ns: wall clock.
        patient: let nobody fail for taking long.
    """
    if row["identity"] != "active":
        why = "it was removed" if row["identity"] is None else f"it is {row['identity']}"
        gone = Verdict("skipped", f"{why} meanwhile", now_ns)
        return None if row["state"] == "healthy" else gone
    if row["state"] == "waiting":
        return None
    said = msgspec.json.decode(row["package_state"], type=PackageState | None)
    said = said or PackageState(state="none")
    heard = row["last_beat_ns"] or 0
    if said.state == "current" and said.sha256 == sha256:
        return _runs(row, heard, now_ns)
    if said.wanted == sha256 and said.state in BAD and _counts_now(row, now_ns):
        return Verdict(said.state, said.message or "it says no reason", now_ns)
    if said.state == "none" or row["state"] == "healthy":
        why = "was not installed from a package" if said.state == "none" else "runs it no more"
        return Verdict("failed", f"it {why}", now_ns)
    return _on_its_way(row, said, sha256, now_ns) or (
        None if patient else _too_long(row, heard, now_ns)
    )


def _runs(row: RowMapping, heard: int, now_ns: int) -> Verdict | None:
    """Healthy is who still beats after it said so."""
    if row["state"] == "healthy":
        return None
    if row["message"] != CONFIRM:
        return Verdict("trial", CONFIRM, heard)
    return Verdict("healthy", "", now_ns) if heard > row["at_ns"] else None


def _on_its_way(row: RowMapping, said: PackageState, sha256: str, now_ns: int) -> Verdict | None:
    if said.state == "trial" and sha256 in (said.wanted, said.sha256):
        fresh = row["state"] != "trial" or row["message"] == CONFIRM
        return Verdict("trial", said.message, now_ns) if fresh else None
    if said.state == "fetching" and said.wanted == sha256:
        message = said.message or FETCHES
        return Verdict("offered", message, row["at_ns"]) if row["message"] != message else None
    return None


def _counts_now(row: RowMapping, now_ns: int) -> bool:
    """Whether an agent's word of failure is of this rollout rather than of an earlier try."""
    if row["state"] != "offered":
        return True
    if row["acknowledged_version"] < (row["desired_version"] or 0):
        return False
    return bool(row["message"] != STALE or now_ns - row["at_ns"] > STALE_S * _S)


def _too_long(row: RowMapping, heard: int, now_ns: int) -> Verdict | None:
    waited, silent = now_ns - row["at_ns"], now_ns - heard
    if row["state"] == "trial" and silent > TRIAL_S * _S and waited > TRIAL_S * _S:
        return Verdict("failed", "silent since it began to run the package", now_ns)
    if waited <= STUCK_S * _S or silent > OFFLINE_S * _S:
        return None
    if row["acknowledged_version"] < (row["desired_version"] or 0):
        return None
    if msgspec.json.decode(row["schedule"], type=Schedule).windows:
        return None
    why = f"it did not run the package within {STUCK_S // 60} minutes"
    return Verdict("failed", f"{why}: {row['message']}".removesuffix(": "), now_ns)


def _failed_before(package_state: str, sha256: str) -> bool:
    said = msgspec.json.decode(package_state, type=PackageState | None)
    return said is not None and said.wanted == sha256 and said.state in BAD
