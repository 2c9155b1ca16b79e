from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.errors import BadFilter
from hauberk.store.filter import (
    MAX_LENGTH,
    MAX_TERMS,
    And,
    Compare,
    In,
    IsNull,
    Not,
    Or,
    parse,
)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        ("  ", None),
        ("a = 1", Compare("a", "=", 1)),
        ("a=1", Compare("a", "=", 1)),
        ("a != -5", Compare("a", "!=", -5)),
        ("a >= 1.5", Compare("a", ">=", 1.5)),
        ("a = true", Compare("a", "=", True)),
        ("a = word", Compare("a", "=", "word")),
        ('a = "two words"', Compare("a", "=", "two words")),
        (r'a = "q\"uo\\te"', Compare("a", "=", 'q"uo\\te')),
        ("a ~ /usr/bin", Compare("a", "~", "/usr/bin")),
        ('a =~ "^x"', Compare("a", "=~", "^x")),
        ("a is null", IsNull("a")),
        ("a in (1, two)", In("a", (1, "two"))),
        ("not a = 1", Not(Compare("a", "=", 1))),
        ("not not a = 1", Compare("a", "=", 1)),
        ("NOT a IN (1) AND b IS NULL", And((Not(In("a", (1,))), IsNull("b")))),
        (
            "a = 1 or b = 2 and c = 3",
            Or((Compare("a", "=", 1), And((Compare("b", "=", 2), Compare("c", "=", 3))))),
        ),
        (
            "(a = 1 or b = 2) and c = 3",
            And((Or((Compare("a", "=", 1), Compare("b", "=", 2))), Compare("c", "=", 3))),
        ),
    ],
)
def test_what_is_read(text, tree):
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("word", "value"),
    [("7", 7), ("007", "007"), ("-0", "-0"), ("1.5", 1.5), ("1.10", "1.10"), ("1.0", 1.0)],
)
def test_only_what_reads_back_the_same_is_a_number(word, value):
    found = parse(f"a = {word}")
    assert found == Compare("a", "=", value)
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a", "operator"),
        ("a =", "a value"),
        ("= 1", "field name"),
        ("A = 1", "field name"),
        ("a = 1 b", "unexpected 'b' at 6"),
        ("a = (", "a value"),
        ("(a = 1", "expected ')'"),
        ("a in 1", "expected '('"),
        ("a in ()", "a value"),
        ("a is 1", "expected null"),
        ("a = 'x' or", "field name"),
        ('a = "open', "cannot read"),
        ("a = 1 and and b = 2", "operator"),
        ("a; drop = 1", "not a field name"),
        ("x" * (MAX_LENGTH + 1), "characters"),
        (" or ".join(["a = 1"] * (MAX_TERMS + 1)), "terms"),
        ("(" * 500 + "a = 1", "more than"),
    ],
)
def test_what_is_refused(text, hint):
    with pytest.raises(BadFilter, match=None) as caught:
        parse(text)
    assert hint in str(caught.value)


@given(st.text(alphabet='ab=!<>~()"\\, not in is null 1.', max_size=60))
def test_any_text_parses_or_is_a_bad_filter(text):
    try:
        parse(text)
    except BadFilter as error:
        assert str(error)  # noqa: PT017
