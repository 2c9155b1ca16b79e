"""What the server's jobs do: compaction, log cleanup, retention, expired rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, select

from hauberk.ports import Clock
from hauberk.schema.view import Notice
from hauberk.store import ledger, ledger_fleet, retention, tasks
from hauberk.store.accounts import drop_tokens
from hauberk.store.alarms import Silence
from hauberk.store.beats import forget_instances
from hauberk.store.compact import compact
from hauberk.store.database import read, write
from hauberk.store.jobs import Job
from hauberk.store.lake import Lake, day_of
from hauberk.store.rollout_job import Follower
from hauberk.store.steady import Steady
from hauberk.store.tables import (
    api_token,
    asset,
    asset_change,
    enrolment,
    session,
    task,
    tenant,
)
from hauberk.store.tables_fleet import alarm, mark, run

DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Keep:
    """How long and how much: days and bytes of events, days of everything else."""

    event_days: int = 30
    event_bytes: int = 20 * 1024**3
    change_days: int = 90
    gone_days: int = 30
    ledger_days: int = 30


def jobs(engine: Engine, lake: Lake, clock: Clock, keep: Keep) -> Sequence[Job]:
    """The recurring jobs of a server."""
    steady = Steady(engine, clock)

    def compaction() -> str:
        today = day_of(clock.wall_ns())
        gone = sum(compact(lake, *key, today=today) for key in lake.tables())
        return f"{gone} small files joined"

    def cleanup() -> str:
        files = 0
        for key in lake.tables():
            lake.checkpoint(*key)
            files += lake.vacuum(*key)
        return f"{files} unused files deleted"

    def retain() -> str:
        now = steady.now_ns()
        rows = retention.enforce(
            lake,
            now_ns=now,
            days=keep.event_days,
            max_bytes=keep.event_bytes,
            today=day_of(clock.wall_ns()),
        )
        return f"{rows} events past their retention dropped{steady.doubt(now)}"

    def expire() -> str:
        now = steady.now_ns()
        with write(engine) as db:
            count = tasks.expire(db, now_ns=clock.wall_ns())
        count += expired(engine, now)
        return f"{count} expired rows closed or deleted{steady.doubt(now)}"

    def forget() -> str:
        now = steady.now_ns()
        return f"{forgotten(engine, now, keep)} old rows deleted{steady.doubt(now)}"

    def fold() -> str:
        return f"{ledger_fleet.fold(engine, clock)} windows of the ledger joined"

    return (
        Job("ledger", 600.0, fold),
        Job("expire", 30.0, expire),
        Job("forget", 600.0, forget),
        Job("compact", 60.0, compaction),
        Job("retain", 600.0, retain),
        Job("vacuum", 900.0, cleanup),
    )


def fleet_jobs(
    engine: Engine, clock: Clock, publish: Callable[[str, Notice], None]
) -> Sequence[Job]:
    """What watches over agents. `publish(tenant, notice)` tells the console."""

    def told(topic: str, tenant: str, home: str = "") -> None:
        at_ms = clock.wall_ns() // 1_000_000
        publish(tenant, Notice(topic=topic, at_ms=at_ms, workload=home))

    follower = Follower(engine, clock, lambda tenant: told("rollouts", tenant))
    silence = Silence(engine, clock, lambda tenant, home: told("alarms", tenant, home))
    return (Job("rollout", 5.0, follower.step, 60.0), Job("alarms", 10.0, silence.step, 60.0))


def expired(engine: Engine, now_ns: int) -> int:
    """Delete credentials that are over; the number of rows. `now_ns` is steady."""
    rules = (
        delete(session).where(session.c.expires_ns <= now_ns),
        delete(enrolment).where(enrolment.c.expires_ns <= now_ns - 30 * DAY_NS),
    )
    with write(engine) as db:
        count = drop_tokens(db, api_token.c.expires_ns <= now_ns - 30 * DAY_NS)
        return count + sum(db.execute(rule).rowcount for rule in rules)


def forgotten(engine: Engine, now_ns: int, keep: Keep) -> int:
    """Delete what is kept no longer; the number of rows. `now_ns` is steady: it is for good.

    The tables are the large ones: every rule has an index, and each is a transaction of its own, so
    that beats need not wait for all of them.
    """
    with read(engine) as db:
        tenants = db.execute(select(tenant.c.id).order_by(tenant.c.id)).scalars().all()
    changed = now_ns - keep.change_days * DAY_NS
    rules = [
        delete(asset).where(asset.c.gone_ns <= now_ns - keep.gone_days * DAY_NS),
        delete(task).where(task.c.state.in_(tasks.STATES), task.c.not_after_ns <= changed),
        delete(alarm).where(alarm.c.until_ns <= changed),
        delete(run).where(run.c.not_after_ns <= changed),
        delete(mark).where(mark.c.at_ns <= now_ns - 180 * DAY_NS),
    ]
    at = asset_change.c.at_ns
    rules += [
        delete(asset_change).where(asset_change.c.tenant == t, at <= changed) for t in tenants
    ]
    count = 0
    for rule in rules:
        with write(engine) as db:
            count += db.execute(rule).rowcount
    for name in tenants:
        with write(engine) as db:
            count += ledger.trim(db, name, before_ns=now_ns - keep.ledger_days * DAY_NS)
    with write(engine) as db:
        count += forget_instances(db, before_ns=now_ns - 365 * DAY_NS)
    return count
