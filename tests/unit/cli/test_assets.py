import csv
import io
import json

import pytest

from hauberk.schema.taxonomy import SUBCLASSES


@pytest.fixture(scope="module")
def home(stack):
    home = stack.workload("default", "assets", hostname="web-1")
    for name, gid in (("wheel", 10), ("=cmd()|x", 11)):
        stack.asset("default", home, "access.group", name, name=name, gid=gid, members=[])
    stack.collected("default", home, "access.group")
    return home


def test_lists_all_subclasses_and_says_what_nobody_looked_at(hauberk, home):
    classes = json.loads(hauberk("assets", "-o", "json").out)
    subs = {s["id"]: s for c in classes for s in c["subclasses"]}
    assert set(subs) == set(SUBCLASSES)
    assert subs["access.group"]["rows"] == 2
    assert subs["software.os_package"]["rows"] is None
    table = hauberk("assets").out
    assert "not assessed" in table
    assert "not collected" in table


def test_rows_of_a_subclass_in_every_format(hauberk, home):
    assert "wheel" in hauberk("assets", "access.group").out
    rows = json.loads(hauberk("assets", "access.group", "-o", "json").out)
    assert {r["fields"]["name"] for r in rows} == {"wheel", "=cmd()|x"}
    lines = hauberk("assets", "access.group", "-o", "ndjson").out.splitlines()
    assert len(lines) == 2
    parsed = list(csv.DictReader(io.StringIO(hauberk("assets", "access.group", "-o", "csv").out)))
    assert {r["name"] for r in parsed} == {"wheel", "'=cmd()|x"}


def test_filter_and_limit(hauberk, home):
    rows = json.loads(hauberk("assets", "access.group", "--filter", "gid = 10", "-o", "json").out)
    assert [r["fields"]["name"] for r in rows] == ["wheel"]
    rows = json.loads(hauberk("assets", "access.group", "--limit", "1", "-o", "json").out)
    assert len(rows) == 1


def test_a_wrong_filter_names_the_known_fields(hauberk, home):
    done = hauberk("assets", "access.group", "--filter", "nope = 1")
    assert done.code == 3
    assert "gid" in done.err


def test_chinese_headings(hauberk, home, monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "用户组" in hauberk("assets").out


def test_unknown_subclass_and_bad_time(hauberk, home):
    assert hauberk("assets", "access.nothing").code == 3
    done = hauberk("assets", "access.group", "--changed-since", "yesterday")
    assert done.code == 3
    assert "ISO time" in done.err


def test_changes_since(hauberk, home):
    assert hauberk("assets", "access.group", "--changed-since", "2020-01-01T00:00").code == 0


def test_counts_of_one_workload(hauberk, home):
    rows = json.loads(hauberk("assets", "--workload", home, "-o", "json").out)
    assert [r["subclass"] for r in rows] == ["access.group"]


def test_wall_clock_columns_are_shown_as_times(hauberk, stack, home):
    at = 1_747_699_200_000_000_000
    stack.asset("default", home, "software.os_package", "p", name="p", installed_ns=at)
    stack.collected("default", home, "software.os_package")
    table = hauberk("assets", "software.os_package").out
    assert "2025-05-2" in table
    assert str(at) not in table
