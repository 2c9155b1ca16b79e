from __future__ import annotations

import apikit
import pytest
from sqlalchemy import insert

from hauberk.errors import BadInput, NotFound
from hauberk.schema.link import Window
from hauberk.schema.view import BudgetInput, DesiredInput, EnrolmentInput, ScheduleInput
from hauberk.store import orders, tasks
from hauberk.store.database import write
from hauberk.store.tables import job


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


def test_enrolments_are_listed_without_their_secret_and_withdrawn(stack):
    made, token, _ = stack.context.agents.invite(
        "default", url="https://x", note="n", created_by="me"
    )
    found = orders.enrolments(
        stack.engine, "default", text="note = n", cursor=None, limit=10, now_ms=0
    ).items
    assert [(e.id, e.created_by, e.used_ms, e.token) for e in found] == [(made, "me", None, None)]
    assert orders.enrolment_view(stack.engine, "default", made) == found[0]
    with pytest.raises(NotFound):
        orders.delete_enrolment(stack.engine, "other", made)
    orders.delete_enrolment(stack.engine, "default", made)
    with pytest.raises(NotFound):
        orders.enrolment_view(stack.engine, "default", made)
    assert token


def test_tasks_show_their_fate(stack):
    home = stack.workload("default", "one")
    keys = stack.context.agents.keys
    made = tasks.create(
        stack.engine,
        keys,
        stack.clock,
        "default",
        home,
        kind="collect",
        args={},
        ttl_s=60,
        created_by="me",
    )
    view = orders.task_view(stack.engine, "default", made[0], stack.clock.now)
    assert (view.state, view.created_by, view.workload) == ("pending", "me", home)
    stack.clock.forward(61)
    assert orders.task_view(stack.engine, "default", made[0], stack.clock.now).state == "expired"
    with pytest.raises(NotFound):
        orders.task_view(stack.engine, "other", made[0], stack.clock.now)
    with pytest.raises(NotFound):
        orders.tasks(
            stack.engine, "other", home, text="", cursor=None, limit=1, now_ns=stack.clock.now
        )


def test_jobs_are_newest_first(stack):
    with write(stack.engine) as db:
        for n in range(3):
            db.execute(
                insert(job).values(
                    id=str(n), kind="compact", due_ns=n, started_ns=n * 10**6 if n else None
                )
            )
    found = orders.jobs(stack.engine)
    assert [(j.id, j.started_ms, j.state) for j in found] == [
        ("2", 2, "waiting"),
        ("1", 1, "waiting"),
        ("0", None, "waiting"),
    ]


@pytest.mark.parametrize(
    ("schedule", "budget", "field"),
    [
        ({"every_s": {"nope": 60}}, {}, "nope"),
        ({"paused": ["nope"]}, {}, "nope"),
        ({"every_s": {"access.user": 9}}, {}, "access.user"),
        ({"every_s": {"access.user": 10**9}}, {}, "access.user"),
        ({"jitter": 1.5}, {}, "jitter"),
        ({}, {"background_pct": 0.0}, "background_pct"),
        ({}, {"background_pct": float("nan")}, "background_pct"),
        ({}, {"event_pct": 101.0}, "event_pct"),
        ({}, {"spool_bytes": 1}, "spool_bytes"),
        ({}, {"memory_bytes": 2**20}, "memory_bytes"),
        ({}, {"pressure_pct": 0.5}, "pressure_pct"),
        ({"windows": [Window(start="1:00", minutes=5)]}, {}, "window 1"),
        ({"windows": [Window(start="01:00", minutes=5)] * 51}, {}, "windows"),
        ({"windows": [Window(start="01:00", minutes=5, days=[9])]}, {}, "window 1"),
    ],
)
def test_desired_state_that_would_harm_is_refused(schedule, budget, field):
    desired = DesiredInput(
        version=0, schedule=ScheduleInput(**schedule), budget=BudgetInput(**budget)
    )
    with pytest.raises(BadInput, match=field):
        orders.check_desired(desired)


def test_what_is_fine_is_taken():
    orders.check_desired(DesiredInput(version=0, schedule=ScheduleInput(), budget=BudgetInput()))
    orders.check_task(["access.user"], 60)
    orders.check_enrolment(EnrolmentInput())
    for wrong in (
        lambda: orders.check_task([], 1),
        lambda: orders.check_task(["nope"], 60),
        lambda: orders.check_enrolment(EnrolmentInput(ttl_s=1)),
        lambda: orders.check_enrolment(EnrolmentInput(note="x" * 201)),
    ):
        with pytest.raises(BadInput):
            wrong()
