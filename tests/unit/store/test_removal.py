from __future__ import annotations

import pytest
from sqlalchemy import func, select
from storekit import Kit, beat

from hauberk.errors import Conflict, NotFound, Unauthenticated
from hauberk.schema.link import Alarm, LedgerEntry
from hauberk.store import removal, tasks
from hauberk.store.database import read
from hauberk.store.removal import SILENT_S, remove
from hauberk.store.tables import agent, workload


def test_only_what_is_gone_is_removed(kit: Kit) -> None:
    peer = kit.peer()
    kit.agents.beat(peer, beat())
    with pytest.raises(Conflict, match="neither revoked nor silent"):
        remove(kit.engine, kit.clock, "default", peer.workload)
    with pytest.raises(NotFound):
        remove(kit.engine, kit.clock, "other", peer.workload)
    kit.clock.forward(SILENT_S)
    assert remove(kit.engine, kit.clock, "default", peer.workload) == [peer.agent]
    with pytest.raises(Unauthenticated, match="unknown"):
        kit.agents.peer(peer.agent, peer.serial)


def test_all_that_is_known_of_it_goes_and_nothing_else(kit: Kit) -> None:
    gone, stays, foreign = kit.peer(), kit.peer(), kit.peer("other")
    entry = LedgerEntry(capability="x", window_start_ns=1, window_s=1, cpu_s=1)
    told = Alarm(kind="file_changed", what="x", since_ns=1)
    for peer in (gone, stays, foreign):
        kit.agents.beat(peer, beat(ledger=[entry], alarms=[told]))
        tasks.create(
            kit.engine, kit.keys, kit.clock, peer.tenant, peer.workload,
            kind="collect", args={}, ttl_s=60, created_by="x",
        )  # fmt: skip
    kit.agents.revoke("default", gone.agent)
    remove(kit.engine, kit.clock, "default", gone.workload)
    with read(kit.engine) as db:
        for table in (*removal._THEIRS, agent):
            homes = set(db.execute(select(table.c.workload)).scalars())
            assert gone.workload not in homes
            if table.name in ("ledger", "alarm", "task", "agent"):
                assert homes == {stays.workload, foreign.workload}
        assert db.execute(select(func.count()).select_from(workload)).scalar() == 2


def test_one_that_said_it_was_uninstalled(kit: Kit) -> None:
    peer = kit.peer()
    kit.agents.beat(peer, beat(goodbye="uninstall"))
    remove(kit.engine, kit.clock, "default", peer.workload)
