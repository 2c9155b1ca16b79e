from __future__ import annotations

import pytest

from hauberk.api.limits import Limits, exports, searches
from hauberk.errors import Busy


def test_a_user_and_all_together_are_bounded():
    limits = Limits("exports", per_user=2, total=3, retry_after=7)
    first, _ = limits.take("a"), limits.take("a")
    with pytest.raises(Busy, match="2 exports of yours") as told:
        limits.take("a")
    assert told.value.retry_after == 7
    limits.take("b")
    with pytest.raises(Busy, match="the server runs 3"):
        limits.take("c")
    first.free()
    first.free()
    assert len(limits) == 2
    limits.take("c")


def test_a_block_gives_back_also_when_it_fails():
    limits = searches()
    with pytest.raises(KeyError), limits.taken("a"):
        assert len(limits) == 1
        raise KeyError
    assert len(limits) == 0
    assert len(exports()) == 0
