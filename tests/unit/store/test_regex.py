from __future__ import annotations

import pytest

from hauberk.errors import BadFilter
from hauberk.schema.text import from_bytes
from hauberk.store import regex


def test_matching_is_re2():
    values = ["nginx", "NGINX", "名字", "", from_bytes(b"\xff")]
    assert regex.matching(values, "^n") == ["nginx"]
    assert regex.matching(values, "(?i)^n") == ["nginx", "NGINX"]
    assert regex.matching(values, "^.$") == [from_bytes(b"\xff")]
    assert regex.matching(values, "") == values
    assert regex.matching([], "a") == []


@pytest.mark.parametrize("pattern", ["(", "a{2000}{2000}", "(?=a)", "\\1", "[z-a]"])
def test_what_re2_refuses(pattern):
    with pytest.raises(BadFilter, match="RE2"):
        regex.check(pattern)


def test_a_pattern_that_kills_backtracking_ends():
    assert regex.matching(["a" * 50_000], "(a|a)*(a|aa)*$x") == []
