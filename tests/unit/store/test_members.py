from __future__ import annotations

from storekit import Kit

from hauberk.store.members import Members


def member(kit: Kit, name: str, *, consumes: bool = True) -> Members:
    return Members(
        kit.engine,
        kit.clock,
        id_=name,
        role="worker" if consumes else "server",
        host="h",
        pid=1,
        version="1",
        consumes=consumes,
        live_s=10,
    )


def test_who_is_silent_counts_no_more(kit: Kit) -> None:
    one, two, server = member(kit, "b"), member(kit, "a"), member(kit, "s", consumes=False)
    two.beat({"partitions": ["0"]})
    server.beat({})
    assert one.consuming() == ["a", "b"]
    assert server.consuming() == ["a"]
    kit.clock.forward(11)
    one.beat({})
    assert one.consuming() == ["b"]
    found = {m.id: m for m in one.all()}
    assert (found["a"].live, found["b"].live) == (False, True)
    assert found["a"].detail == {"partitions": ["0"]}
    assert not found["s"].consumes


def test_who_leaves_is_gone_and_the_long_silent_are_forgotten(kit: Kit) -> None:
    one, two = member(kit, "a"), member(kit, "b")
    one.beat({})
    two.beat({})
    two.leave()
    assert [m.id for m in one.all()] == ["a"]
    kit.clock.forward(8 * 86_400)
    two.beat({})
    assert [m.id for m in one.all()] == ["b"]
