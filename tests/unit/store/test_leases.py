from __future__ import annotations

import pytest
from storekit import Kit

from hauberk.errors import LostLease
from hauberk.store.database import write
from hauberk.store.leases import Leases


def pair(kit: Kit) -> tuple[Leases, Leases]:
    return tuple(Leases(kit.engine, kit.clock, owner=n, ttl_s=10) for n in ("one", "two"))  # type: ignore[return-value]


def test_one_has_it_until_it_runs_out(kit: Kit) -> None:
    one, two = pair(kit)
    mine = one.take("p")
    assert mine is not None
    assert two.take("p") is None
    assert one.owners(["p", "q"]) == {"p": "one"}
    kit.clock.forward(9)
    assert one.renew([mine]) == []
    kit.clock.forward(9)
    assert two.take("p") is None
    kit.clock.forward(2)
    assert two.owners(["p"]) == {}
    theirs = two.take("p")
    assert theirs is not None
    assert theirs.number > mine.number
    assert one.renew([mine]) == [mine]


def test_what_a_former_owner_writes_is_refused_with_all_around_it(kit: Kit) -> None:
    one, two = pair(kit)
    mine = one.take("p")
    assert mine is not None
    with write(kit.engine) as db:
        mine.check(db)
    kit.clock.forward(11)
    # Nobody has taken it yet: it is still its own.
    with write(kit.engine) as db:
        mine.check(db)
    theirs = two.take("p")
    assert theirs is not None
    with pytest.raises(LostLease, match="another process"), write(kit.engine) as db:
        mine.check(db)
    two.release(theirs)
    again = one.take("p")
    assert again is not None
    # The same owner, but another lease: what it had in memory then is stale.
    with pytest.raises(LostLease), write(kit.engine) as db:
        mine.check(db)


def test_released_is_free_at_once_and_only_by_its_owner(kit: Kit) -> None:
    one, two = pair(kit)
    mine = one.take("p")
    assert mine is not None
    one.release(mine)
    theirs = two.take("p")
    assert theirs is not None
    one.release(mine)
    assert one.owners(["p"]) == {"p": "two"}


def test_a_clock_that_jumped_back_does_not_keep_it_for_ever(kit: Kit) -> None:
    one, two = pair(kit)
    kit.clock.forward(100_000)
    assert one.take("p") is not None
    kit.clock.forward(-100_000)
    assert two.take("p") is not None
