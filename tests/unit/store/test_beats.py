from __future__ import annotations

from sqlalchemy import event, select
from storekit import Kit, beat

from hauberk.store import beats, tasks
from hauberk.store.database import read
from hauberk.store.tables import agent, agent_instance


def test_an_ordinary_beat_costs_three_statements(kit: Kit) -> None:
    peer = kit.peer()
    reply = kit.agents.beat(peer, beat())
    known = beat(desired_version=0)
    seen: list[str] = []
    event.listen(kit.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    again = kit.agents.beat(peer, known)
    ours = [s.split()[0] for s in seen if "advisory" not in s]
    statements = [word for word in ours if word not in ("BEGIN", "COMMIT")]
    assert statements == ["SELECT", "UPDATE", "UPDATE"]
    assert (reply.tasks, again.tasks) == ([], [])


def test_what_waits_for_an_agent_is_told(kit: Kit) -> None:
    peer = kit.peer()
    with read(kit.engine) as db:
        assert not beats.hear(db, peer.agent, now_ns=kit.clock.wall)["ordered"]
    tasks.create(
        kit.engine, kit.keys, kit.clock, "default", peer.workload,
        kind="collect", args={}, ttl_s=60, created_by="x",
    )  # fmt: skip
    with read(kit.engine) as db:
        assert beats.hear(db, peer.agent, now_ns=kit.clock.wall)["ordered"]
        late = kit.clock.wall + 61 * 10**9
        assert not beats.hear(db, peer.agent, now_ns=late)["ordered"]


def test_an_instance_is_noted_once_an_hour(kit: Kit) -> None:
    peer = kit.peer()

    def noted() -> int | None:
        with read(kit.engine) as db:
            return db.execute(select(agent_instance.c.last_ns)).scalar()

    kit.agents.beat(peer, beat())
    first = noted()
    kit.clock.forward(60)
    kit.agents.beat(peer, beat())
    assert noted() == first
    kit.clock.forward(3600)
    kit.agents.beat(peer, beat())
    assert noted() == kit.clock.wall
    with read(kit.engine) as db:
        assert db.execute(select(agent.c.last_beat_ns)).scalar() == kit.clock.wall
