from __future__ import annotations

import pytest

from hauberk.api import columns
from hauberk.api.reader import Reader
from hauberk.errors import BadInput, NotFound
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.link import SensorHealth, WorkloadFacts
from hauberk.schema.taxonomy import SUBCLASSES
from hauberk.schema.view import AgentView, AssetRow, AuditView, Change, WorkloadView

ZH = Reader("zh-CN")


def cell(listed, name, row, who=ZH):
    return next(c for c in listed if c.name == name).shown(row, who)


def agent(**values):
    base = {"id": "a", "workload": "w", "hostname": "h", "state": "online", "version": "1"}
    return AgentView(**base | {"enrolled_ms": 0} | values)


def asset(**values):
    base = {"id": "1", "workload": "w", "hostname": "h", "subclass": "access.user", "key": "k"}
    times = {"first_seen_ms": 0, "last_seen_ms": 0, "changed_ms": 0}
    return AssetRow(**base | times | {"label": "l"} | values)


def test_names_are_single_and_titles_there():
    lists = [columns.assets(s) for s in SUBCLASSES] + [columns.events(t) for t in EVENT_CLASSES]
    lists += [columns.workloads(), columns.agents(), columns.changes(), columns.run_tasks()]
    for listed in [*lists, columns.audit()]:
        names = [column.name for column in listed]
        assert len(names) == len(set(names))
        assert all(c.title.en and c.title.zh for c in listed)
    with pytest.raises(NotFound):
        columns.assets("no.such")


def test_choice_keeps_its_order():
    listed = columns.agents()
    assert [c.name for c in columns.choose(listed, "version, state,version")] == [
        "version",
        "state",
    ]
    assert columns.choose(listed, "") == listed
    with pytest.raises(BadInput, match="no column 'x'; known: state, hostname"):
        columns.choose(listed, "state,x")


def test_gone_assets_say_so():
    listed = columns.assets("access.user")
    assert cell(listed, "last_seen_ms", asset(gone_ms=0)).startswith("已消失 1970-01-01")
    assert cell(listed, "last_seen_ms", asset()).startswith("1970-01-01")
    assert cell(listed, "name", asset(fields={"name": "a\n"})) == "a\\n"


def test_a_machine_speaks_by_the_agent_heard_last():
    old, new = agent(last_beat_ms=1, state="offline"), agent(last_beat_ms=2, state="revoked")
    facts = WorkloadFacts(hostname="h", os="debian", os_version="12", cpus=4, memory_bytes=2**33)
    machine = WorkloadView(id="w", hostname="h", facts=facts, created_ms=0, agents=[old, new])
    listed = columns.workloads()
    assert cell(listed, "agent", machine) == "离线"
    assert cell(listed, "tier", machine) == "未上报"
    assert cell(listed, "os", machine) == "debian 12"
    assert cell(listed, "memory", machine) == "4 核 · 8.0 GiB"
    assert cell(listed, "kernel", machine) == "未知"
    assert cell(listed, "last_seen_ms", machine) == "从未"


def test_agents():
    listed = columns.agents()
    one = agent(sensor=SensorHealth(tier="B", lost=3), desired_version=2, acknowledged_version=1)
    assert cell(listed, "tier", one) == "B 级 · eBPF"
    assert cell(listed, "lost", one) == 3
    assert cell(listed, "lost", agent()) == "未知"
    assert cell(listed, "desired", one, Reader()) == "has 1, wants 2"
    assert cell(listed, "desired", agent()) == "已同步"


def test_changes_tell_what_changed():
    listed = columns.changes()
    base = {"seq": 1, "at_ms": 0, "workload": "w", "hostname": "h", "asset": "a", "label": "l"}
    base["subclass"] = "access.user"
    made = Change(**base, kind="changed", before={"uid": 1}, after={"uid": 2})
    assert cell(listed, "diff", made) == "UID 1 → 2"
    added = Change(**base, kind="added", after={"name": "root", "uid": 0})
    assert cell(listed, "diff", added, Reader()) == "User root; UID 0"
    odd = Change(**base | {"subclass": "no.such"}, kind="changed", before={"x": 1}, after={})
    assert cell(listed, "diff", odd) == "x 1 → 未知"
    assert cell(listed, "subclass", odd) == "no.such"


def test_audit_detail_reads_as_on_the_screen():
    entry = AuditView(
        seq=1, at_ms=0, actor="a", action="b", target="c", detail={"n": "x", "l": [1]}, hash="h"
    )
    assert cell(columns.audit(), "detail", entry) == "n=x l=[1]"
