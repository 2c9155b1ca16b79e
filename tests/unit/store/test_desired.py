from __future__ import annotations

import msgspec
import pytest
from storekit import Kit, beat

from hauberk.errors import Conflict, NotFound
from hauberk.schema.link import Budget, Desired, Schedule, Signed
from hauberk.store import desired


def test_versions_rise_and_reach_the_agent_that_lacks_them(kit: Kit) -> None:
    peer = kit.peer()
    schedule = Schedule(every_s={"os.release": 60})
    version = desired.replace(
        kit.engine, "default", peer.workload, version=0, schedule=schedule, budget=Budget()
    )
    assert version == 1
    raw = kit.agents.beat(peer, beat(desired_version=0)).desired
    assert raw is not None
    body = msgspec.msgpack.decode(raw, type=Signed).body
    document = msgspec.msgpack.decode(body, type=Desired)
    assert (document.version, document.schedule, document.agent) == (1, schedule, peer.agent)
    assert kit.agents.beat(peer, beat(desired_version=1)).desired is None


def test_agent_ahead_of_a_restored_server_gets_a_higher_version(kit: Kit) -> None:
    peer = kit.peer()
    raw = kit.agents.beat(peer, beat(desired_version=7)).desired
    assert raw is not None
    body = msgspec.msgpack.decode(raw, type=Signed).body
    assert msgspec.msgpack.decode(body, type=Desired).version == 8


def test_replacing_an_old_version_conflicts(kit: Kit) -> None:
    peer = kit.peer()
    with pytest.raises(Conflict):
        desired.replace(
            kit.engine, "default", peer.workload, version=3, schedule=Schedule(), budget=Budget()
        )
    with pytest.raises(NotFound):
        desired.replace(
            kit.engine, "other", peer.workload, version=0, schedule=Schedule(), budget=Budget()
        )
