from __future__ import annotations

import apikit
import pytest
from sqlalchemy import update

from hauberk.store.database import write
from hauberk.store.overview import overview
from hauberk.store.tables import agent, collection


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


def show(stack, tenant="default"):
    return overview(stack.engine, stack.context.lake, tenant, stack.clock.now)


def test_nothing_yet_is_not_zero(stack):
    empty = show(stack)
    assert (empty.workloads, empty.first_run) == (0, True)
    assert (empty.changes_24h, empty.events_24h, empty.risks, empty.incidents) == (None,) * 4
    assert all(c.rows is None for c in empty.assets)


def test_counts_are_the_tenants_own_and_of_the_last_day(stack):
    for tenant in ("default", "other"):
        home = stack.workload(tenant, "one")
        stack.asset(tenant, home, "access.user", "root", name="root")
        stack.collected(tenant, home, "access.user")
        stack.events(tenant, home, "process_activity", [{"pid": 1}] * 3)
        stack.events(tenant, home, "blind_time", [{"lost": 5, "is_self": True}])
    found = show(stack)
    assert (found.workloads, found.agents, found.tiers) == (1, {"online": 1}, {"B": 1})
    assert found.changes_24h == {"added": 1, "changed": 0, "removed": 0}
    assert found.events_24h == {"process_activity": 3, "blind_time": 1}
    assert [b.fields["lost"] for b in found.blind] == [5]
    assert [(r.role, r.title.zh, r.workloads) for r in found.roles] == [("nginx", "nginx", 1)]


def test_a_day_without_reports_is_not_zero(stack):
    home = stack.workload("default", "one")
    stack.collected("default", home, "access.user")
    stack.events("default", home, "process_activity", [{"pid": 1}])
    stack.clock.forward(86_401)
    silent = show(stack)
    assert (silent.changes_24h, silent.events_24h, silent.blind) == (None, None, [])
    with write(stack.engine) as db:
        db.execute(update(agent).values(last_beat_ns=stack.clock.now))
        db.execute(update(collection).values(received_ns=stack.clock.now))
    calm = show(stack)
    assert calm.changes_24h == {"added": 0, "changed": 0, "removed": 0}
    assert calm.events_24h == {"process_activity": 0}
