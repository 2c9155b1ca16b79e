from __future__ import annotations

import apikit
import pytest
from sqlalchemy import update

from hauberk.errors import BadFilter, NotFound
from hauberk.schema.taxonomy import SUBCLASSES
from hauberk.store import fleet, inventory
from hauberk.store.database import write
from hauberk.store.inventory import AssetScope, ChangeScope
from hauberk.store.tables import asset, collection


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


USER = "access.user"


def test_every_subclass_has_columns_or_no_collector():
    for subclass in SUBCLASSES:
        shown = inventory.columns(subclass)
        assert bool(shown) is (subclass in inventory.collectors())
    with pytest.raises(NotFound, match="taxonomy"):
        inventory.columns("no.such")


def test_a_row_has_its_columns_and_times(stack):
    home = stack.workload("default", "one")
    made = stack.asset("default", home, USER, "root", name="root", uid=2**60)
    page = inventory.assets(stack.engine, AssetScope("default", USER), None, 10, 5)
    row = page.items[0]
    assert (row.id, row.key, row.label, row.hostname) == (made, "root", "root", "web-1")
    assert row.fields == {"name": "root", "uid": str(2**60)}
    assert (row.first_seen_ms, row.gone_ms) == (apikit.NOW_NS // 10**6, None)
    assert (page.total, page.as_of_ms) == (1, 5)


def test_common_columns_can_be_filtered(stack):
    home = stack.workload("default", "one", hostname="db")
    stack.asset("default", home, USER, "root", name="root")
    ms = apikit.NOW_NS // 10**6
    for text, count in [
        ("hostname = db", 1),
        ("hostname = web", 0),
        (f"workload = {home}", 1),
        (f"first_seen_ms = {ms}", 1),
        (f"changed_ms > {ms}", 0),
        ("gone_ms is null", 1),
        ("key = root and label = root", 1),
    ]:
        scope = AssetScope("default", USER, text)
        assert inventory.assets(stack.engine, scope, None, 10, 0).total == count, text


def test_detail_shows_both_directions_and_what_is_missing(stack):
    home = stack.workload("default", "one")
    made = stack.asset("default", home, USER, "root", name="root")
    other = stack.asset("default", home, "access.group", "wheel", name="wheel")
    stack.relation("default", home, (USER, "root"), ("access.group", "wheel"))
    stack.relation("default", home, ("runtime.process", "1"), (USER, "root"))
    # The same keys on another machine are other things.
    second = stack.workload("default", "two")
    stack.asset("default", second, "access.group", "wheel", name="wheel")
    stack.relation("default", second, (USER, "root"), ("access.group", "staff"))
    found = inventory.detail(stack.engine, "default", made)
    edges = [(e.direction, e.subclass, e.key, e.asset and e.asset.id) for e in found.edges]
    assert edges == [
        ("out", "access.group", "wheel", other),
        ("in", "runtime.process", "1", None),
    ]
    assert [c.kind for c in found.changes] == ["added"]
    assert [c.name for c in found.columns] == [c.name for c in inventory.columns(USER)]
    with pytest.raises(NotFound):
        inventory.detail(stack.engine, "other", made)


def test_facets(stack):
    home = stack.workload("default", "one")
    for n in range(60):
        stack.asset("default", home, USER, f"k{n}", name=f"n{n}", uid=None if n % 2 else 7)
    names = inventory.facets(stack.engine, AssetScope("default", USER), "name", 0)
    assert (len(names.values), names.more) == (50, True)
    uids = inventory.facets(stack.engine, AssetScope("default", USER), "uid", 0)
    assert {(v.value, v.count) for v in uids.values} == {(None, 30), (7, 30)}
    with pytest.raises(BadFilter, match="known: "):
        inventory.facets(stack.engine, AssetScope("default", USER), "nope", 0)


def test_facets_of_lists_and_booleans(stack):
    home = stack.workload("default", "one")
    found = {}
    for subclass in inventory.collectors():
        for column in inventory.columns(subclass):
            found.setdefault(column.kind, (subclass, column.name))
    subclass, name = found["list"]
    stack.asset("default", home, subclass, "a", **{name: ["x", "y"]})
    stack.asset("default", home, subclass, "b", **{name: ["x"]})
    values = inventory.facets(stack.engine, AssetScope("default", subclass), name, 0).values
    assert [(v.value, v.count) for v in values] == [("x", 2), ("y", 1)]
    subclass, name = found["bool"]
    stack.asset("default", home, subclass, "c", **{name: True})
    values = inventory.facets(stack.engine, AssetScope("default", subclass), name, 0).values
    assert (True, 1) in [(v.value, v.count) for v in values]


@pytest.mark.parametrize(
    ("outcomes", "state", "rows", "workloads"),
    [
        ([], "not_assessed", None, 0),
        (["ok"], "assessed", 1, 1),
        (["not_applicable"], "assessed", 1, 1),
        (["ok", "error"], "partial", 1, 1),
        (["partial"], "partial", 1, 1),
        (["error"], "error", None, 0),
    ],
)
def test_states_of_a_subclass(stack, outcomes, state, rows, workloads):
    for n, outcome in enumerate(outcomes):
        home = stack.workload("default", f"w{n}")
        stack.collected("default", home, USER, outcome)
        if n == 0:
            stack.asset("default", home, USER, "root", name="root")
    subs = {s.id: s for c in inventory.taxonomy(stack.engine, "default") for s in c.subclasses}
    found = subs[USER]
    assert (found.state, found.rows, found.workloads) == (state, rows, workloads)
    others = {s.state for i, s in subs.items() if i != USER}
    assert others <= {"not_assessed", "not_collected"}
    assert all(s.state == "assessed" or s.rows is None for i, s in subs.items() if i != USER)
    assert len(subs) == 38


def test_changes(stack):
    home = stack.workload("default", "one")
    stack.asset("default", home, USER, "a", name="a", big=2**60)
    stack.asset("default", home, "access.group", "b", name="b")
    scope = ChangeScope("default", "subclass = access.user")
    found = inventory.changes(stack.engine, scope, None, 10, 0)
    assert [(c.kind, c.label, c.after["big"]) for c in found.items] == [("added", "a", str(2**60))]
    later = ChangeScope("default", since_ms=apikit.NOW_NS // 10**6 + 1)
    assert inventory.changes(stack.engine, later, None, 10, 0).items == []
    here = ChangeScope("default", workload="default-two")
    assert inventory.changes(stack.engine, here, None, 10, 0).items == []


def test_unchanged_rows_are_as_fresh_as_the_last_whole_look(stack):
    home = stack.workload("default", "one")
    stack.asset("default", home, USER, "root", name="root")
    stack.collected("default", home, USER)
    proved = apikit.NOW_NS + 3600 * 10**9
    with write(stack.engine) as db:
        db.execute(update(collection).values(proved_ns=proved))
    ms = proved // 10**6
    scope = AssetScope("default", USER, f"last_seen_ms = {ms}")
    row = inventory.assets(stack.engine, scope, None, 10, 0).items[0]
    assert (row.last_seen_ms, row.first_seen_ms) == (ms, apikit.NOW_NS // 10**6)
    assert inventory.detail(stack.engine, "default", row.id).asset.last_seen_ms == ms
    with write(stack.engine) as db:
        db.execute(update(asset).values(gone_ns=apikit.NOW_NS))
    assert inventory.detail(stack.engine, "default", row.id).asset.last_seen_ms < ms


def test_a_clock_that_is_ahead_makes_nothing_fresh(stack):
    home = stack.workload("default", "one")
    stack.collected("default", home, USER)
    with write(stack.engine) as db:
        db.execute(update(collection).values(ended_ns=apikit.NOW_NS * 2))
    classes = inventory.taxonomy(stack.engine, "default")
    state = next(s for c in classes for s in c.subclasses if s.id == USER)
    ms = apikit.NOW_NS // 10**6
    assert (state.oldest_ms, state.newest_ms) == (ms, ms)
    found = fleet.workload_detail(stack.engine, "default", home, apikit.NOW_NS)
    assert found.collections[0].ended_ms == ms
