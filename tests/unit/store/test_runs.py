from __future__ import annotations

import pytest
from sqlalchemy import select, update
from storekit import Kit, beat

from hauberk.errors import BadFilter, BadInput, Conflict, NotFound
from hauberk.schema.link import TaskResult
from hauberk.schema.view import RunInput
from hauberk.store import runs, tasks
from hauberk.store.database import read, write
from hauberk.store.tables import agent, task
from hauberk.store.upkeep import DAY_NS, Keep, forgotten


def order(kit: Kit, *, tenant: str = "default", **more: object) -> str:
    wish = RunInput(kind="collect", **more)  # type: ignore[arg-type]
    return runs.create(kit.engine, kit.keys, kit.clock, tenant, wish, created_by="ann")


def states(kit: Kit, run: str) -> dict[str, int]:
    return runs.view(kit.engine, "default", run, kit.clock.wall).states


def test_each_machine_has_a_task(kit: Kit) -> None:
    peers = [kit.peer() for _ in range(3)]
    kit.peer("other")
    kit.agents.revoke("default", peers[2].agent)
    run = order(kit, subclasses=["os.release"])
    assert states(kit, run) == {"pending": 2, "refused": 1}
    assert len(kit.agents.beat(peers[0], beat()).tasks) == 1
    assert states(kit, run) == {"pending": 1, "refused": 1, "sent": 1}
    page = runs.run_tasks(
        kit.engine, "default", run, text="state=refused", sort="", cursor=None, limit=9,
        now_ns=kit.clock.wall,
    )  # fmt: skip
    assert [t.workload for t in page.items] == [peers[2].workload]
    with pytest.raises(NotFound):
        runs.view(kit.engine, "other", run, kit.clock.wall)


def test_a_wrong_order_leaves_nothing(kit: Kit) -> None:
    kit.peer()
    with pytest.raises(BadFilter):
        order(kit, filter="nope = 1")
    with pytest.raises(BadInput, match="leaves no machine"):
        order(kit, filter="hostname = nobody")
    with pytest.raises(BadInput):
        order(kit, ttl_s=1.0)
    with read(kit.engine) as db:
        assert db.execute(select(task.c.id)).first() is None


def test_too_many_machines_are_refused(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.peer(), kit.peer()
    monkeypatch.setattr(runs, "MAX_MACHINES", 1)
    with pytest.raises(BadInput, match="more than 1 machines: narrow it"):
        order(kit)


def test_a_run_without_agents_is_over_at_once(kit: Kit) -> None:
    kit.peer()
    with write(kit.engine) as db:
        db.execute(update(agent).values(state="revoked"))
    run = runs.view(kit.engine, "default", order(kit), kit.clock.wall)
    assert (run.state, run.states) == ("done", {"refused": 1})
    assert run.ended_ms is not None


def test_cancelled_pending_tasks_are_never_given(kit: Kit) -> None:
    peer = kit.peer()
    run = order(kit)
    now = kit.clock.wall
    count = runs.cancel(kit.engine, kit.keys, "default", run, created_by="bob", now_ns=now)
    assert count == (1, 0)
    assert kit.agents.beat(peer, beat()).tasks == []
    again = runs.cancel(kit.engine, kit.keys, "default", run, created_by="bob", now_ns=now)
    assert again == (0, 0)


def test_a_late_answer_counts_after_the_run_has_expired(kit: Kit) -> None:
    peer = kit.peer()
    run = order(kit, ttl_s=60.0)
    kit.agents.beat(peer, beat())
    kit.clock.forward(61)
    with write(kit.engine) as db:
        tasks.expire(db, now_ns=kit.clock.wall)
        name = db.execute(select(task.c.id)).scalar_one()
    assert states(kit, run) == {"expired": 1}
    done = TaskResult(task=name, outcome="done", ended_ns=1)
    assert tasks.finish(kit.engine, peer, done, now_ns=kit.clock.wall)
    assert states(kit, run) == {"done": 1}
    with pytest.raises(Conflict):
        runs.cancel(kit.engine, kit.keys, "default", run, created_by="bob", now_ns=kit.clock.wall)


def test_runs_are_forgotten_with_their_tasks(kit: Kit) -> None:
    kit.peer()
    run = order(kit)
    forgotten(kit.engine, kit.clock.wall + 91 * DAY_NS, Keep())
    with pytest.raises(NotFound):
        runs.view(kit.engine, "default", run, kit.clock.wall)
