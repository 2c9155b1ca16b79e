from __future__ import annotations

import pytest

from hauberk.errors import BadFilter
from hauberk.store import typed
from hauberk.store.filter import Compare, In

KINDS = {"t": "str", "n": "int", "f": "float", "b": "bool", "l": "list"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("t = 7", "7"),
        ("t = true", "true"),
        ("t = 1.5", "1.5"),
        ("l = 7", "7"),
        ("n = 7", 7),
        ('n = "7"', 7),
        ("n = 007", 7),
        ("n = 7.0", 7),
        ("f = 7", 7.0),
        ("f = 1.10", 1.1),
        ("b = true", True),
        (f'n = "{2**63 - 1}"', 2**63 - 1),
    ],
)
def test_values_get_their_columns_type(text, value):
    found = typed.read(text, KINDS)
    assert isinstance(found, Compare)
    assert found.value == value
    assert type(found.value) is type(value)


def test_lists_of_values():
    assert typed.read("t in (1, a)", KINDS) == In("t", ("1", "a"))
    assert typed.read("", KINDS) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x = 1", "known: b, f, l, n, t"),
        ("not (t = 1 or x is null)", "known: "),
        ("n = abc", "a whole number"),
        ("n = 1.5", "a whole number"),
        ("n = true", "a whole number"),
        (f'n = "{2**63}"', "a whole number"),
        ("n ~ 1", "text only"),
        ("b =~ true", "text only"),
        ("b = 1", "true or false"),
        ("b < true", "no meaning"),
        ("l > a", "no meaning"),
        ("f = nan", "a number"),
        ("f = inf", "a number"),
        ("n in (1, x)", "a whole number"),
        (f't =~ "{"a" * 1001}"', "longer than"),
    ],
)
def test_what_a_column_cannot_have(text, hint):
    with pytest.raises(BadFilter) as caught:
        typed.read(text, KINDS)
    assert hint in str(caught.value)
