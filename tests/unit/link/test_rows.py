from hauberk.link import rows, wire
from hauberk.schema.asset import Collection, Problem, Relation, RoleTag
from hauberk.schema.taxonomy import Title


def test_a_collection_keeps_its_problems():
    collection = Collection(
        subclass="os.kernel",
        outcome="partial",
        rows=3,
        epoch=5,
        ended_ns=9,
        cpu_s=0.5,
        problems=[Problem("/proc/cmdline", "denied"), Problem("/boot", "missing")],
        full=False,
    )
    row = rows.CollectionRow.of(collection)
    assert row.problems() == collection.problems
    (read,) = wire.decode_rows(wire.encode_table(rows.COLLECTION, rows.CollectionRow, [row]))
    assert rows.CollectionRow(**read) == row
    assert (row.outcome, row.rows, row.epoch, row.full) == ("partial", 3, 5, False)


def test_a_missing_half_of_a_problem_does_not_raise():
    row = rows.CollectionRow.of(Collection(subclass="x", outcome="ok", rows=0, epoch=1, ended_ns=1))
    assert row.problems() == []


def test_relations_and_roles_travel():
    relation = Relation(
        kind="owns",
        src_subclass="software.os_package",
        src_key="a",
        dst_subclass="runtime.process",
        dst_key="b",
        evidence="file list",
    )
    role = RoleTag(
        role="nginx", title=Title("Web server", "网页服务器"), confidence=80, evidence=["p"]
    )
    r, t = rows.RelationRow.of(relation), rows.RoleRow.of(role)
    assert wire.decode_rows(wire.encode_table("relation", rows.RelationRow, [r])) == [
        {
            "kind": "owns",
            "src_subclass": "software.os_package",
            "src_key": "a",
            "dst_subclass": "runtime.process",
            "dst_key": "b",
            "evidence": "file list",
        }
    ]
    assert (t.title_en, t.title_zh, t.confidence, t.evidence) == (
        "Web server",
        "网页服务器",
        80,
        ["p"],
    )
