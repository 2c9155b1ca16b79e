from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select
from storekit import Kit, beat

from hauberk import signing
from hauberk.errors import NotFound
from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Signed, Task, TaskResult
from hauberk.store import tasks
from hauberk.store.database import read, write
from hauberk.store.tables import task


def create(kit: Kit, peer: Peer, *, tenant: str = "default", ttl_s: float = 60) -> list[str]:
    return tasks.create(
        kit.engine,
        kit.keys,
        kit.clock,
        tenant,
        peer.workload,
        kind="collect",
        args={"subclasses": ["os.release"]},
        ttl_s=ttl_s,
        created_by="ann",
    )


def state(kit: Kit, name: str) -> str:
    with read(kit.engine) as db:
        return str(db.execute(select(task.c.state).where(task.c.id == name)).scalar())


def test_task_is_signed_numbered_and_sent_until_answered(kit: Kit) -> None:
    peer = kit.peer()
    first, second = create(kit, peer)[0], create(kit, peer)[0]
    orders = kit.agents.beat(peer, beat()).tasks
    assert len(orders) == 2
    signed = msgspec.msgpack.decode(orders[1], type=Signed)
    public = Ed25519PublicKey.from_public_bytes(kit.keys.task_public)
    signing.verify(public, "task", signed.body, signed.signature)
    order = msgspec.msgpack.decode(signed.body, type=Task)
    assert (order.id, order.sequence, order.agent) == (second, 2, peer.agent)
    assert order.args == {"subclasses": ["os.release"]}
    assert state(kit, first) == "sent"
    assert len(kit.agents.beat(peer, beat()).tasks) == 2
    assert tasks.finish(
        kit.engine, peer, TaskResult(task=first, outcome="done", ended_ns=5), now_ns=6
    )
    assert not tasks.finish(kit.engine, peer, TaskResult(task=first, outcome="failed"), now_ns=6)
    assert state(kit, first) == "done"
    assert len(kit.agents.beat(peer, beat()).tasks) == 1


def test_tasks_expire(kit: Kit) -> None:
    peer = kit.peer()
    name = create(kit, peer, ttl_s=10)[0]
    kit.clock.forward(11)
    assert kit.agents.beat(peer, beat()).tasks == []
    with write(kit.engine) as db:
        assert tasks.expire(db, now_ns=kit.clock.wall) == 1
    assert state(kit, name) == "expired"


def test_other_tenants_and_agents_have_no_say(kit: Kit) -> None:
    peer, stranger = kit.peer(), kit.peer("other")
    with pytest.raises(NotFound):
        create(kit, peer, tenant="other")
    name = create(kit, peer)[0]
    with pytest.raises(NotFound):
        tasks.finish(kit.engine, stranger, TaskResult(task=name, outcome="done"), now_ns=6)
    assert kit.agents.beat(stranger, beat()).tasks == []
    kit.agents.revoke("default", peer.agent)
    with pytest.raises(NotFound, match="no active agent"):
        create(kit, peer)
