from __future__ import annotations

import threading

import apikit
import pytest
from sqlalchemy import delete, select, update

from hauberk.store import audit, tables
from hauberk.store.database import write


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


def fill(stack, count=5, tenant="default"):
    for n in range(count):
        audit.append(
            stack.engine,
            tenant=tenant,
            at_ns=n,
            actor="a",
            action="x.y",
            target=str(n),
            detail={"n": n},
        )


def test_the_chain_is_whole_and_per_tenant(stack):
    fill(stack)
    fill(stack, 3, "other")
    check = audit.verify(stack.engine, "other")
    assert (check.entries, check.intact, check.broken_at) == (3, True, None)
    newest = audit.page(stack.engine, "other", "", None, 1, 0).items[0]
    assert check.head == newest.hash
    assert newest.detail == {"n": 2}


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", "b"), ("detail", "{}"), ("at_ns", 99), ("action", "z"), ("hash", "00")],
)
def test_a_changed_entry_is_found(stack, column, value):
    fill(stack)
    first = audit.verify(stack.engine, "default").entries - 4
    with write(stack.engine) as db:
        db.execute(
            update(tables.audit)
            .where(tables.audit.c.tenant == "default", tables.audit.c.seq == first + 1)
            .values({column: value})
        )
    check = audit.verify(stack.engine, "default")
    assert (check.intact, check.broken_at) == (False, first + 1)


def test_a_removed_entry_is_found_and_a_cut_tail_changes_the_head(stack):
    fill(stack)
    before = audit.verify(stack.engine, "default")
    with write(stack.engine) as db:
        mine = tables.audit.c.tenant == "default"
        db.execute(delete(tables.audit).where(mine, tables.audit.c.seq == before.entries))
    cut = audit.verify(stack.engine, "default")
    assert cut.intact
    assert (cut.entries, cut.head) != (before.entries, before.head)
    with write(stack.engine) as db:
        db.execute(delete(tables.audit).where(mine, tables.audit.c.seq == 2))
    assert audit.verify(stack.engine, "default").broken_at == 3


def test_a_forged_entry_with_a_right_hash_breaks_the_next(stack):
    fill(stack)
    with write(stack.engine) as db:
        where = (tables.audit.c.tenant == "default", tables.audit.c.seq == 3)
        row = dict(db.execute(select(tables.audit).where(*where)).mappings().one())
        row["actor"] = "forged"
        row["hash"] = audit.hash_of(row)
        db.execute(update(tables.audit).where(*where).values(row))
    assert audit.verify(stack.engine, "default").broken_at == 4


def test_concurrent_appends_stay_a_chain(stack):
    threads = [threading.Thread(target=fill, args=(stack, 25)) for _ in range(6)]
    before = audit.verify(stack.engine, "default").entries
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check = audit.verify(stack.engine, "default")
    assert (check.entries, check.intact) == (before + 150, True)


def test_long_details_are_cut(stack):
    fill(stack, 1)
    audit.append(
        stack.engine,
        tenant="default",
        at_ns=1,
        actor="a" * 10_000,
        action="x",
        detail={"big": "y" * 100_000},
    )
    found = audit.page(stack.engine, "default", "", None, 1, 0).items[0]
    assert len(found.actor) == 500
    assert len(found.detail["cut"]) == 500
    assert audit.verify(stack.engine, "default").intact


def test_it_is_filtered(stack):
    fill(stack)
    found = audit.page(stack.engine, "default", "target in (1, 3) and actor = a", None, 10, 0)
    assert [e.target for e in found.items] == ["3", "1"]
    assert found.total == 2
