from __future__ import annotations

import apikit
import pytest
from sqlalchemy import update

from hauberk.errors import BadFilter, NotFound
from hauberk.store import fleet
from hauberk.store.database import write
from hauberk.store.tables import agent


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


def page(stack, kind, text="", sort="", limit=10, cursor=None):
    return kind(
        stack.engine,
        "default",
        text=text,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=stack.clock.now,
    )


def test_workloads_with_agents_and_roles(stack):
    home = stack.workload("default", "one")
    found = page(stack, fleet.workloads).items[0]
    assert (found.id, found.facts.os, found.last_seen_ms) == (home, "debian", None)
    assert [a.id for a in found.agents] == [f"agent-{home}"]
    assert [(r.role, r.confidence, r.evidence) for r in found.roles] == [
        ("nginx", 90, ["seen by default"])
    ]


def test_workloads_are_filtered_and_paged(stack):
    for n in range(5):
        stack.workload("default", f"w{n}", hostname=f"h{n % 2}")
    for text, count in [
        ("hostname = h1", 2),
        ("role = nginx", 5),
        ("role = mysql", 0),
        ("os = debian and kind = unknown", 5),
        ("last_seen_ms is null", 5),
        ("cpus > 0", 0),
    ]:
        assert page(stack, fleet.workloads, text).total == count, text
    first = page(stack, fleet.workloads, limit=3, sort="-hostname")
    rest = page(stack, fleet.workloads, limit=3, sort="-hostname", cursor=first.next)
    assert len({w.id for w in [*first.items, *rest.items]}) == 5
    with pytest.raises(BadFilter):
        page(stack, fleet.workloads, sort="role")


def test_states_of_an_agent(stack):
    home = stack.workload("default", "one")
    found = []
    for seconds in (0, fleet.LATE_S + 1, fleet.OFFLINE_S):
        stack.clock.forward(seconds)
        found.append(page(stack, fleet.agents).items[0].state)
    assert found == ["online", "late", "offline"]
    assert page(stack, fleet.agents, "state = offline and tier = B").total == 1
    stack.context.agents.revoke("default", f"agent-{home}")
    view = fleet.agent_view(stack.engine, "default", f"agent-{home}", stack.clock.now)
    assert (view.state, view.sensor.tier, view.resources) == ("revoked", "B", None)
    with pytest.raises(NotFound):
        fleet.agent_view(stack.engine, "other", f"agent-{home}", stack.clock.now)


def test_an_agent_that_never_spoke_is_offline(stack):
    home = stack.workload("default", "one")
    with write(stack.engine) as db:
        db.execute(update(agent).where(agent.c.workload == home).values(last_beat_ns=None))
    view = page(stack, fleet.agents).items[0]
    assert (view.state, view.last_beat_ms) == ("offline", None)


def test_detail_of_a_workload(stack):
    home = stack.workload("default", "one")
    stack.collected("default", home, "access.user")
    found = fleet.workload_detail(stack.engine, "default", home, stack.clock.now)
    assert [(c.subclass, c.title.zh, c.outcome) for c in found.collections] == [
        ("access.user", "用户", "ok")
    ]
    assert (found.desired_version, found.budget.background_pct) == (0, 1.0)
    assert [e.capability for e in found.ledger] == ["sensor of default"]
    for tenant, name in (("other", home), ("default", "nope")):
        with pytest.raises(NotFound):
            fleet.workload_detail(stack.engine, tenant, name, stack.clock.now)


def test_ledger(stack):
    home = stack.workload("default", "one")
    assert len(fleet.ledger_entries(stack.engine, "default", home, None)) == 1
    later = apikit.NOW_NS // 10**6
    assert fleet.ledger_entries(stack.engine, "default", home, later) == []
    with pytest.raises(NotFound):
        fleet.ledger_entries(stack.engine, "other", home, None)


def test_hostnames(stack):
    home = stack.workload("default", "one", hostname="h")
    assert fleet.hostnames(stack.engine, "default") == {home: "h"}
    assert fleet.hostnames(stack.engine, "other") == {}
