from __future__ import annotations

import apikit
import duckdb
import pytest
from apikit import NOW_NS

from hauberk.errors import BadFilter, BadInput, Busy
from hauberk.store import compact, lake_query
from hauberk.store.lake_query import LakeQuery, Search


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


DAY = 86_400 * 10**9


def pids(page):
    return [row.fields["pid"] for row in page.items]


def search(stack, text="", **other):
    found = Search("default", "process_activity", text, **other)
    return stack.context.lake.page(found, {"w1": "web"}, None, 100, 0)


def test_a_table_that_is_not_there_has_no_rows(stack):
    assert search(stack).items == []
    assert list(stack.context.lake.rows(Search("default", "blind_time"), {})) == []
    assert stack.context.lake.counts("default", 0) is None


def test_newest_first_over_days_and_files(stack):
    for n in range(6):
        stack.events(
            "default", "w1", "process_activity", [{"pid": n}], received_ns=NOW_NS + n * DAY // 2
        )
    assert pids(search(stack)) == [5, 4, 3, 2, 1, 0]
    ms = NOW_NS // 10**6
    day = DAY // 10**6
    assert pids(search(stack, since_ms=ms + day)) == [5, 4, 3, 2]
    assert pids(search(stack, until_ms=ms + day)) == [1, 0]
    assert pids(search(stack, since_ms=ms + day, until_ms=ms + day + 1)) == [2]
    assert stack.context.lake.counts("default", ms + day) == {"process_activity": 4}


def test_only_declared_columns_and_only_bound_values(stack):
    stack.events("default", "w1", "process_activity", [{"pid": 1, "name": "x"}])
    for name in ("sequence", "ordinal", "received_ns", "day", "filename", "dst_port"):
        with pytest.raises(BadFilter, match="known: "):
            search(stack, f"{name} = 1")
    for text in ("x' OR 1=1 --", '" OR 1=1', "?); DROP TABLE x; --"):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        for op in ("=", "~", "!="):
            found = search(stack, f'name {op} "{quoted}"')
            assert len(found.items) == (1 if op == "!=" else 0)


def test_host_names_are_turned_into_workloads(stack):
    stack.events("default", "w1", "process_activity", [{"pid": 1}])
    stack.events("default", "w2", "process_activity", [{"pid": 2}])
    for text, found in [
        ("hostname = web", [1]),
        ("hostname != web", []),
        ("not hostname = web", [2]),
        ("hostname in (web, db)", [1]),
        ('hostname =~ "^w"', [1]),
        ("hostname ~ EB", [1]),
        ("hostname >= web", [1]),
        ("hostname < web", []),
        ("hostname is null", []),
    ]:
        assert pids(search(stack, text)) == found, text


def test_a_wrong_pattern_is_a_bad_filter(stack):
    stack.events("default", "w1", "process_activity", [{"pid": 1}])
    with pytest.raises(BadFilter, match="RE2"):
        search(stack, 'name =~ "("')


def test_a_cursor_belongs_to_its_search(stack):
    for n in range(3):
        stack.events("default", "w1", "process_activity", [{"pid": n}])
    lake = stack.context.lake
    first = lake.page(Search("default", "process_activity"), {}, None, 1, 0)
    again = lake.page(Search("default", "process_activity"), {}, first.next, 1, 0)
    assert pids(first) + pids(again) == [2, 1]
    for other in (
        Search("other", "process_activity"),
        Search("default", "network_activity"),
        Search("default", "process_activity", "pid = 1"),
        Search("default", "process_activity", include_self=True),
        Search("default", "process_activity", since_ms=1),
    ):
        with pytest.raises(BadInput, match="another list"):
            lake.page(other, {}, first.next, 1, 0)


def test_a_search_that_takes_too_long_is_stopped(stack):
    for _ in range(3):
        stack.events(
            "default",
            "w1",
            "process_activity",
            [{"pid": i, "argv": ["a" * 99]} for i in range(5000)],
        )
    slow = LakeQuery(stack.lake, timeout_s=0.001)
    pattern = "(" + "|".join(f"a{{{n}}}b" for n in range(1, 60)) + ")"
    with pytest.raises(Busy, match=r"over 0\.001 s"):
        for _ in range(50):
            slow.page(
                Search("default", "process_activity", f'argv =~ "{pattern}"'), {}, None, 10, 0
            )
    slow.close()
    assert len(search(stack).items) == 100


def test_sql_cannot_reach_other_files(stack, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    stack.events("default", "w1", "process_activity", [{"pid": 1}])
    assert search(stack).items
    cursor = stack.context.lake._db.cursor()
    for sql in (
        f"SELECT * FROM read_csv('{secret}')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            cursor.execute(sql)
    cursor.close()


def test_compaction_changes_nothing_that_is_seen(stack):
    for n in range(8):
        stack.events("default", "w1", "process_activity", [{"pid": n, "name": f"p{n}"}])
    before = search(stack)
    compact.compact(stack.lake, "default", "process_activity", today="2099-01-01")
    assert len(stack.lake.files("default", "process_activity")) == 1
    assert search(stack) == before


def test_newest_of_many_wide_rows_in_little_memory(stack):
    rows = [{"pid": n, "argv": [f"{n}" * 60]} for n in range(20_000)]
    for _ in range(5):
        stack.events("default", "w1", "process_activity", rows)
        stack.clock.forward(1)
    small = LakeQuery(stack.lake, memory_mb=64)
    found = small.page(Search("default", "process_activity"), {}, None, 100, 0)
    assert pids(found) == list(range(19_999, 19_899, -1))
    small.close()


def test_an_export_crosses_windows_and_files_in_order(stack, monkeypatch):
    monkeypatch.setattr(lake_query, "_WINDOW", 7)
    for n in range(20):
        rows = [{"pid": n * 10 + i} for i in range(3)]
        received = NOW_NS + (n ^ 1) * DAY // 8
        stack.events("default", "w1", "process_activity", rows, received_ns=received)
    exported = list(stack.context.lake.rows(Search("default", "process_activity"), {}))
    listed = stack.context.lake.page(Search("default", "process_activity"), {}, None, 1000, 0)
    assert exported == listed.items
    assert len(exported) == 60


def test_pages_cross_groups_of_files(stack, monkeypatch):
    monkeypatch.setattr(lake_query, "_GROUP_ROWS", 4)
    for n in range(12):
        rows = [{"pid": n * 10 + i} for i in range(3)]
        received = NOW_NS + (n ^ 3) * 10**9
        stack.events("default", "w1", "process_activity", rows, received_ns=received)
    seen, cursor = [], None
    while True:
        page = stack.context.lake.page(Search("default", "process_activity"), {}, cursor, 5, 0)
        seen += page.items
        cursor = page.next
        if cursor is None:
            break
    assert seen == list(stack.context.lake.rows(Search("default", "process_activity"), {}))
    assert [e.received_ms for e in seen] == sorted((e.received_ms for e in seen), reverse=True)
    assert len({e.fields["pid"] for e in seen}) == 36
