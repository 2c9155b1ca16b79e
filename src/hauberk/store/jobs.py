"""Recurring jobs with leases, so that one of several servers does each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hauberk.errors import HauberkError
from hauberk.ports import Clock
from hauberk.store.database import read, write
from hauberk.store.tables import job

_MAX_MESSAGE = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """`run` returns a line for people; `every_s` counts from one end to the next start."""

    kind: str
    every_s: float
    run: Callable[[], str]
    lease_s: float = 900.0


class Jobs:
    """The jobs of one server process, named `owner`."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        jobs: Sequence[Job],
        *,
        owner: str,
        alone: bool = False,
    ) -> None:
        """`alone`: no other process does jobs, so that leases of a former one are void."""
        self._engine, self._clock, self._owner = engine, clock, owner
        self._jobs: dict[str, Job] = {}
        if alone:
            with write(engine) as db:
                db.execute(update(job).values(lease_owner="", lease_until_ns=None))
        for one in jobs:
            self.add(one)

    def add(self, one: Job) -> None:
        """Do this job as well; first due after its interval, unless it is known already."""
        self._jobs[one.kind] = one
        due = self._clock.wall_ns() + int(one.every_s * 1e9)
        row = insert(job).values(id=one.kind, kind=one.kind, due_ns=due)
        with write(self._engine) as db:
            db.execute(row.on_conflict_do_nothing())

    def step(self) -> bool:
        """Do the job that is due longest; False when none is."""
        kind = self._claim()
        if kind is None:
            return False
        task = self._jobs[kind]
        try:
            message, state = task.run(), "done"
        except HauberkError as error:
            message, state = str(error), "failed"
            _log.error("job %s: %s", kind, error)
        except Exception as error:  # noqa: BLE001  supervisor: one job must not stop the others
            message, state = f"{type(error).__name__}: {error}", "failed"
            _log.exception("job %s", kind)
        now = self._clock.wall_ns()
        with write(self._engine) as db:
            db.execute(
                update(job)
                .where(job.c.id == kind, job.c.lease_owner == self._owner)
                .values(
                    state=state,
                    message=message[:_MAX_MESSAGE],
                    ended_ns=now,
                    due_ns=now + int(task.every_s * 1e9),
                    lease_owner="",
                    lease_until_ns=None,
                )
            )
        return True

    def hasten(self, kind: str) -> None:
        """Make a job due now."""
        with write(self._engine) as db:
            db.execute(update(job).where(job.c.id == kind).values(due_ns=self._clock.wall_ns()))

    def _claim(self) -> str | None:
        now = self._clock.wall_ns()
        # Times further ahead than any interval were written before the clock jumped back.
        far = now + 2 * int(max(max(j.every_s, j.lease_s) for j in self._jobs.values()) * 1e9)
        until = job.c.lease_until_ns
        free = or_(until.is_(None), until < now, until > far)
        ready = or_(job.c.due_ns <= now, job.c.due_ns > far)
        due = select(job.c.id).where(job.c.id.in_(self._jobs), ready, free)
        with read(self._engine) as db:
            if db.execute(due.limit(1)).first() is None:
                return None
        with write(self._engine) as db:
            kind = db.execute(due.order_by(job.c.due_ns).limit(1)).scalar()
            if kind is None:
                return None
            lease = now + int(self._jobs[kind].lease_s * 1e9)
            db.execute(
                update(job)
                .where(job.c.id == kind)
                .values(
                    state="running",
                    lease_owner=self._owner,
                    lease_until_ns=lease,
                    started_ns=now,
                    ended_ns=None,
                )
            )
        return str(kind)
