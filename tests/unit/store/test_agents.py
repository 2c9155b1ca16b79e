from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from storekit import FACTS, Kit, beat, serial_of

from hauberk import signing
from hauberk.errors import BadWire, Conflict, Forbidden, NotFound, Refused, Unauthenticated
from hauberk.link.client.identity import csr
from hauberk.link.gateway.identity import Cloned
from hauberk.link.token import EnrolToken, parse
from hauberk.schema.link import EnrolRequest, LedgerEntry, RotateRequest, SensorHealth
from hauberk.store import beats, ledger
from hauberk.store.beats import forget_instances
from hauberk.store.database import read, write
from hauberk.store.desired import request_resync
from hauberk.store.tables import agent, agent_instance, audit, workload


def request(token: str, key: Ed25519PrivateKey | None = None) -> EnrolRequest:
    key = key or Ed25519PrivateKey.generate()
    return EnrolRequest(token=token, csr=csr(key), facts=FACTS, version="1", site="lab")


def test_enrolment_gives_tenant_workload_and_keys(kit: Kit) -> None:
    key, reply, peer = kit.enrol("other")
    assert (peer.tenant, peer.workload, peer.agent) == ("other", reply.workload, reply.agent)
    assert reply.tenant == "other"
    assert peer.key == key.public_key()
    assert reply.ca == kit.keys.ca_pem
    assert parse(kit.token()).ca_sha256 == kit.keys.ca_sha256


def test_token_works_once(kit: Kit) -> None:
    token = kit.token()
    kit.agents.enrol(request(token))
    with pytest.raises(Forbidden, match="used"):
        kit.agents.enrol(request(token))


def test_token_expires_and_unknown_ones_are_refused(kit: Kit) -> None:
    token = kit.token(ttl_s=60)
    kit.clock.forward(61)
    with pytest.raises(Forbidden, match="expired"):
        kit.agents.enrol(request(token))
    foreign = EnrolToken("https://x", b"0" * 32, b"1" * 32).text()
    with pytest.raises(Forbidden, match="unknown"):
        kit.agents.enrol(request(foreign))
    with pytest.raises(BadWire):
        kit.agents.enrol(request("hbk1_damaged"))


def test_a_refused_enrolment_leaves_the_token(kit: Kit) -> None:
    key, _, _ = kit.enrol()
    token = kit.token()
    with pytest.raises(Conflict, match="new key"):
        kit.agents.enrol(request(token, key))
    kit.agents.enrol(request(token))


def test_unknown_and_replaced_certificates(kit: Kit) -> None:
    _, reply, peer = kit.enrol()
    with pytest.raises(Unauthenticated, match="unknown"):
        kit.agents.peer("f" * 32, "1")
    with pytest.raises(Unauthenticated, match="replaced"):
        kit.agents.peer(peer.agent, "1")
    assert kit.agents.peer(peer.agent, serial_of(reply.certificate)).workload == peer.workload


def test_revoked_agent_is_refused_in_its_tenant_only(kit: Kit) -> None:
    heard: list[str] = []
    kit.agents.on_change = lambda _t, _w, name: heard.append(name)
    _, reply, peer = kit.enrol()
    with pytest.raises(NotFound):
        kit.agents.revoke("other", peer.agent)
    kit.agents.revoke("default", peer.agent)
    assert heard == [peer.agent, peer.agent]
    with pytest.raises(Forbidden, match="revoked"):
        kit.agents.peer(peer.agent, serial_of(reply.certificate))


def test_rotation_keeps_the_old_one_until_the_new_one_is_used(kit: Kit) -> None:
    key, reply, peer = kit.enrol()
    fresh = Ed25519PrivateKey.generate()
    wish = csr(fresh, peer.agent)
    answer = kit.agents.rotate(
        peer, RotateRequest(csr=wish, proof=signing.sign(key, "rotate", wish))
    )
    old, new = serial_of(reply.certificate), serial_of(answer.certificate)
    assert kit.agents.peer(peer.agent, old).key == key.public_key()
    assert kit.agents.peer(peer.agent, new).key == fresh.public_key()
    with pytest.raises(Unauthenticated):
        kit.agents.peer(peer.agent, old)
    assert kit.agents.peer(peer.agent, new).key == fresh.public_key()


def test_rotation_needs_the_old_key(kit: Kit) -> None:
    _, _, peer = kit.enrol()
    fresh = Ed25519PrivateKey.generate()
    wish = csr(fresh, peer.agent)
    with pytest.raises(Refused):
        kit.agents.rotate(peer, RotateRequest(csr=wish, proof=signing.sign(fresh, "rotate", wish)))


def test_beat_is_kept_and_asks_to_rotate_in_time(kit: Kit) -> None:
    peer = kit.peer()
    entry = LedgerEntry(capability="inventory", window_start_ns=1, window_s=60, cpu_s=0.5)
    reply = kit.agents.beat(peer, beat(wall_ns=kit.clock.wall + 5, ledger=[entry]))
    assert (reply.rotate, reply.resync, reply.tasks, reply.desired) == (False, False, [], None)
    with read(kit.engine) as db:
        row = db.execute(select(agent)).mappings().one()
        assert (row["skew_ns"], row["instance"], row["boot"]) == (5, "i-1", "b-1")
        assert db.execute(select(workload.c.hostname)).scalar() == "web-1"
        assert ledger.totals(db, "default", peer.workload, since_ns=0)[0].cpu_s == 0.5
    kit.clock.forward(21 * 86_400)
    assert kit.agents.beat(peer, beat()).rotate is True


def test_resync_is_asked_for_once(kit: Kit) -> None:
    peer = kit.peer()
    with write(kit.engine) as db:
        request_resync(db, "default", peer.workload)
    assert kit.agents.beat(peer, beat()).resync is True
    assert kit.agents.beat(peer, beat()).resync is False


def test_restarts_are_no_clone_but_a_returning_instance_is(kit: Kit) -> None:
    _, reply, peer = kit.enrol()
    for instance in ("i-1", "i-1", "i-2", "i-2", "i-3"):
        kit.agents.beat(peer, beat(instance))
    with pytest.raises(Cloned):
        kit.agents.beat(peer, beat("i-1"))
    with pytest.raises(Cloned):
        kit.agents.peer(peer.agent, serial_of(reply.certificate))


def test_forgotten_instances(kit: Kit) -> None:
    peer = kit.peer()
    kit.agents.beat(peer, beat("i-1"))
    kit.clock.forward(10)
    with write(kit.engine) as db:
        assert forget_instances(db, before_ns=kit.clock.wall) == 1


def test_absurd_beats(kit: Kit) -> None:
    peer = kit.peer()
    with pytest.raises(BadWire):
        kit.agents.beat(peer, beat(""))
    long = msgspec.structs.replace(FACTS, hostname="x" * 5000)
    kit.agents.beat(peer, beat(facts=long))
    with read(kit.engine) as db:
        assert len(db.execute(select(workload.c.hostname)).scalar() or "") == 256


def test_values_that_no_agent_has_are_refused(kit: Kit) -> None:
    peer = kit.peer()
    good = beat()
    entry = LedgerEntry(capability="x", window_start_ns=1, window_s=60, cpu_s=float("nan"))
    for bad in (
        beat(desired_version=2**40),
        beat(wall_ns=2**63),
        beat(ledger=[entry]),
        beat(resources=msgspec.structs.replace(good.resources, cpu_s=float("inf"))),
        beat(resources=msgspec.structs.replace(good.resources, spool_bytes=2**64 - 1)),
    ):
        with pytest.raises(BadWire, match="absurd"):
            kit.agents.beat(peer, bad)
    long = SensorHealth(tier="A", reasons=["x" * 10**5] * 100)
    kit.agents.beat(peer, beat(sensor=long))
    with read(kit.engine) as db:
        assert len(db.execute(select(agent.c.sensor)).scalar_one()) < 100_000


def test_a_revoked_agent_gets_no_orders_while_a_cache_knows_it(kit: Kit) -> None:
    peer = kit.peer()
    kit.agents.revoke("default", peer.agent)
    with pytest.raises(Forbidden):
        kit.agents.beat(peer, beat())
    with read(kit.engine) as db:
        assert db.execute(select(agent.c.state)).scalar_one() == "revoked"


def test_instances_are_bounded(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "MAX_INSTANCES", 3)
    peer = kit.peer()
    for n in range(6):
        kit.clock.forward(1)
        kit.agents.beat(peer, beat(f"i-{n}"))
    with read(kit.engine) as db:
        found = db.execute(select(agent_instance.c.instance)).scalars()
        assert sorted(found) == ["i-3", "i-4", "i-5"]


def test_enrolment_and_clones_are_audited(kit: Kit) -> None:
    peer = kit.peer()
    for instance in ("i-1", "i-2"):
        kit.agents.beat(peer, beat(instance))
    with pytest.raises(Cloned):
        kit.agents.beat(peer, beat("i-1"))
    with read(kit.engine) as db:
        found = db.execute(select(audit.c.action, audit.c.target).order_by(audit.c.seq)).all()
    assert [tuple(r) for r in found] == [
        ("agent.enrol", peer.agent),
        ("agent.cloned", peer.agent),
    ]


def test_a_rotated_certificate_is_forgotten_by_caches(kit: Kit) -> None:
    key, reply, peer = kit.enrol()
    wish = csr(Ed25519PrivateKey.generate(), peer.agent)
    answer = kit.agents.rotate(
        peer, RotateRequest(csr=wish, proof=signing.sign(key, "rotate", wish))
    )
    heard: list[str] = []
    kit.agents.on_change = lambda _t, _w, name: heard.append(name)
    kit.agents.peer(peer.agent, serial_of(reply.certificate))
    assert heard == []
    kit.agents.peer(peer.agent, serial_of(answer.certificate))
    assert heard == [peer.agent]
