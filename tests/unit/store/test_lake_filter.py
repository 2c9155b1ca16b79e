from __future__ import annotations

import pytest

from hauberk.schema.event import EVENT_CLASSES
from hauberk.store import typed
from hauberk.store.lake_filter import compile_filter, kinds

TABLE = "process_activity"


def compiled(text, hostnames=None):
    tree = typed.read(text, kinds(TABLE))
    return compile_filter(tree, TABLE, hostnames or {})


@pytest.mark.parametrize("table", sorted(EVENT_CLASSES))
def test_columns_are_those_of_the_struct_and_the_common_ones(table):
    common = {"workload", "agent", "boot", "received_ms", "time_ms", "hostname"}
    assert set(kinds(table)) == common | set(EVENT_CLASSES[table].__struct_fields__)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('name = "x\' OR 1=1"', ["x' OR 1=1"]),
        ("pid in (1, 2)", [1, 2]),
        ('argv = "--; DROP"', ["--; DROP"]),
        ('name =~ "a|b"', ["a|b"]),
        ("not (pid = 1 or name = x)", [1, "x"]),
        ("exit_code is null", []),
    ],
)
def test_values_are_bound_never_pasted(text, values):
    sql, bound = compiled(text)
    assert bound == values
    assert sql.count("?") == len(values)
    for value in values:
        assert str(value) not in sql or isinstance(value, int)


def test_any_case_means_ascii_letters_only():
    _, bound = compiled('name ~ "aZ1.名"')
    assert bound == ["[aA][zZ]1\\x{2e}名"]


def test_a_host_is_its_workloads():
    names = {"w1": "web", "w2": "db", "w3": "web"}
    assert compiled("hostname = web", names)[1] == [["w1", "w3"]]
    assert compiled("hostname ~ D", names)[1] == [["w2"]]
    assert compiled("hostname is null", names)[1] == [[]]
