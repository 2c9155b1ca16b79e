from __future__ import annotations

from sqlalchemy import select, update
from storekit import Kit

from hauberk.errors import StorageFull
from hauberk.store.database import read, write
from hauberk.store.jobs import Job, Jobs
from hauberk.store.tables import job


def row(kit: Kit, kind: str) -> dict[str, object]:
    with read(kit.engine) as db:
        return dict(db.execute(select(job).where(job.c.id == kind)).mappings().one())


def test_jobs_run_when_due_and_again_after_their_interval(kit: Kit) -> None:
    ran: list[str] = []
    jobs = Jobs(
        kit.engine,
        kit.clock,
        [Job("a", 10, lambda: ran.append("a") or "went well"), Job("b", 20, lambda: "")],
        owner="me",
    )
    assert jobs.step() is False
    kit.clock.forward(10)
    assert jobs.step() is True
    assert jobs.step() is False
    assert (row(kit, "a")["state"], row(kit, "a")["message"]) == ("done", "went well")
    kit.clock.forward(10)
    assert [jobs.step() for _ in range(3)] == [True, True, False]
    assert ran == ["a", "a"]


def test_failures_are_told_and_stop_nothing(kit: Kit) -> None:
    def full() -> str:
        raise StorageFull("no room")

    def bug() -> str:
        raise ZeroDivisionError

    jobs = Jobs(kit.engine, kit.clock, [Job("a", 1, full), Job("b", 1, bug)], owner="me")
    kit.clock.forward(1)
    assert [jobs.step() for _ in range(3)] == [True, True, False]
    assert (row(kit, "a")["state"], row(kit, "a")["message"]) == ("failed", "no room")
    assert str(row(kit, "b")["message"]).startswith("ZeroDivisionError")


def test_a_lease_keeps_others_out_until_it_ends(kit: Kit) -> None:
    jobs = Jobs(kit.engine, kit.clock, [Job("a", 1, lambda: "")], owner="me")
    kit.clock.forward(1)
    until = kit.clock.wall + 60 * 10**9
    with write(kit.engine) as db:
        db.execute(update(job).values(lease_owner="other", lease_until_ns=until))
    assert jobs.step() is False
    kit.clock.forward(61)
    assert jobs.step() is True


def test_a_clock_that_jumps_back_stops_no_job(kit: Kit) -> None:
    jobs = Jobs(kit.engine, kit.clock, [Job("a", 60, lambda: "")], owner="me")
    kit.clock.forward(-365 * 86_400)
    assert jobs.step() is True
    assert jobs.step() is False


def test_a_new_process_takes_over_and_jobs_can_be_hastened(kit: Kit) -> None:
    Jobs(kit.engine, kit.clock, [Job("a", 1000, lambda: "")], owner="dead")
    with write(kit.engine) as db:
        db.execute(update(job).values(lease_owner="dead", lease_until_ns=kit.clock.wall * 2))
    jobs = Jobs(kit.engine, kit.clock, [Job("a", 1000, lambda: "")], owner="me")
    jobs.hasten("a")
    assert jobs.step() is True
