from __future__ import annotations

import pytest
from sqlalchemy import select
from storekit import NOW_NS, Kit

from hauberk.errors import BadWire
from hauberk.link import wire
from hauberk.link.rows import CollectionRow, GoneRow, RelationRow, RoleRow
from hauberk.schema.asset import Collection, Relation, RoleTag
from hauberk.schema.taxonomy import Title
from hauberk.store.database import write
from hauberk.store.sets import Incoming, collections, relations, roles, structs
from hauberk.store.tables import collection, relation, role

HERE = Incoming("default", "w", NOW_NS, 1, ())


def edge(src: str, evidence: str) -> RelationRow:
    return RelationRow.of(
        Relation(
            kind="loads",
            src_subclass="a",
            src_key=src,
            dst_subclass="b",
            dst_key="k",
            evidence=evidence,
        )
    )


def test_relations_replace_the_former_set_of_the_workload(kit: Kit) -> None:
    other = Incoming("other", "w", NOW_NS, 1, ())
    with write(kit.engine) as db:
        relations(db, HERE, [edge("1", "e"), edge("2", "e")])
        relations(db, other, [edge("1", "e")])
        relations(db, HERE, [edge("2", "new"), edge("3", "e"), edge("3", "e")])
        found = db.execute(select(relation.c.tenant, relation.c.src_key, relation.c.evidence)).all()
    assert sorted(tuple(r) for r in found) == [
        ("default", "2", "new"),
        ("default", "3", "e"),
        ("other", "1", "e"),
    ]


def test_roles_replace_the_former_set(kit: Kit) -> None:
    def tags(*names: str) -> list[RoleRow]:
        return [
            RoleRow.of(RoleTag(role=n, title=Title(n, n), confidence=80, evidence=["x"]))
            for n in names
        ]

    with write(kit.engine) as db:
        roles(db, HERE, tags("nginx", "redis"))
        roles(db, HERE, tags("nginx"))
        assert db.execute(select(role.c.role, role.c.evidence)).all() == [("nginx", '["x"]')]
        roles(db, HERE, [])
        assert db.execute(select(role.c.role)).all() == []


def test_rows_of_another_form_are_refused() -> None:
    table = wire.encode_table("role", GoneRow, [GoneRow("x")])
    with pytest.raises(BadWire, match="role"):
        structs(table, RoleRow)


def test_a_whole_look_is_remembered_over_a_failed_one(kit: Kit) -> None:
    def told(outcome: str, *, full: bool, at: int) -> tuple[str, int | None]:
        proof = Collection(
            subclass="access.user",
            outcome=outcome,  # type: ignore[arg-type]
            rows=1,
            epoch=at,
            ended_ns=at,
            cpu_s=0.0,
            full=full,
            problems=[],
        )
        with write(kit.engine) as db:
            collections(db, Incoming("default", "w", at, 1, ()), [CollectionRow.of(proof)])
            return db.execute(select(collection.c.outcome, collection.c.proved_ns)).one()

    assert tuple(told("partial", full=False, at=1)) == ("partial", None)
    assert tuple(told("ok", full=True, at=2)) == ("ok", 2)
    assert tuple(told("error", full=False, at=3)) == ("error", 2)


def test_names_that_no_content_has_are_refused_before_anything_is_written(kit: Kit) -> None:
    batch = Incoming("default", "w", 1, 1, ())
    title = Title("x", "x")
    tags = [RoleTag(role=name, title=title, confidence=1) for name in ("nginx", "n" * 101)]
    edge = Relation(kind="owns", src_subclass="s" * 101, src_key="", dst_subclass="", dst_key="")
    with write(kit.engine) as db:
        roles(db, batch, [RoleRow.of(tags[0])])
        with pytest.raises(BadWire, match="101 characters"):
            roles(db, batch, [RoleRow.of(tag) for tag in tags])
        with pytest.raises(BadWire, match="101 characters"):
            relations(db, batch, [RelationRow.of(edge)])
        assert db.execute(select(role.c.role)).scalars().all() == ["nginx"]
        assert db.execute(select(relation)).all() == []


def test_rows_have_no_nul_characters() -> None:
    table = wire.encode_table("gone/x", GoneRow, [GoneRow(key="a\0b")])
    assert structs(table, GoneRow) == [GoneRow(key="a\U0010ff00b")]
