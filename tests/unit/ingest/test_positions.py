from __future__ import annotations

import pytest
from storekit import Kit, item

from hauberk.ingest.positions import Positions
from hauberk.store import database


def test_inbox_forgets_what_every_consumer_has(kit: Kit) -> None:
    kit.inbox.append([item(sequence=n) for n in (1, 2, 3)])
    positions = Positions(kit.engine, kit.inbox, ("state", "lake"))
    positions.set("state", 3)
    assert positions.trim() == 0
    positions.set("lake", 2)
    assert positions.trim() == 2
    assert kit.inbox.depth()[0] == 1
    assert (positions.of("lake"), positions.of("none")) == (2, 0)


def test_what_positions_stand_for_is_durable_before_batches_go(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.inbox.append([item(sequence=1)])
    positions = Positions(kit.engine, kit.inbox, ("state",))
    positions.set("state", 1)
    done: list[str] = []
    trim = kit.inbox.trim
    monkeypatch.setattr(database, "sync_file", lambda path: done.append(path.name))
    monkeypatch.setattr(kit.inbox, "trim", lambda upto: (done.append("trim"), trim(upto)))
    positions.trim()
    # PostgreSQL's commits are durable by themselves.
    synced = ["state.db-wal"] if kit.engine.dialect.name == "sqlite" else []
    assert done == [*synced, "trim"]
