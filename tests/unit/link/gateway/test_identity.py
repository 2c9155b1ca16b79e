from __future__ import annotations

import ssl

import pytest
from storekit import DAY_NS, Kit

from hauberk.errors import Forbidden, Unauthenticated
from hauberk.link.gateway.identity import Identities, Peer, read_certificate
from hauberk.store.keys import certificate_of


def der_of(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def test_certificate_names_agent_and_serial(kit: Kit) -> None:
    _, reply, peer = kit.enrol()
    now = kit.clock.wall
    assert read_certificate(der_of(reply.certificate), now_ns=now) == (peer.agent, peer.serial)


def test_none_foreign_and_expired_certificates(kit: Kit) -> None:
    _, reply, _ = kit.enrol()
    with pytest.raises(Unauthenticated, match="client certificate"):
        read_certificate(None, now_ns=kit.clock.wall)
    with pytest.raises(Unauthenticated):
        read_certificate(b"nonsense", now_ns=kit.clock.wall)
    kit.keys.server_certificate(["localhost"], now_ns=kit.clock.wall)
    server = ssl.PEM_cert_to_DER_cert(
        kit.keys.server_files[0].read_text().split("-----END")[0] + "-----END CERTIFICATE-----\n"
    )
    assert certificate_of(kit.keys.server_files[0])
    with pytest.raises(Unauthenticated, match="not an agent's"):
        read_certificate(server, now_ns=kit.clock.wall)
    with pytest.raises(Unauthenticated, match="enrol anew"):
        read_certificate(der_of(reply.certificate), now_ns=kit.clock.wall + 31 * DAY_NS)


def test_lookups_are_cached_for_a_while(kit: Kit) -> None:
    _, reply, peer = kit.enrol()
    asked: list[str] = []

    def lookup(agent: str, serial: str):
        asked.append(agent)
        return kit.agents.peer(agent, serial)

    known = Identities(lookup, kit.clock, ttl_s=5)
    der = der_of(reply.certificate)
    assert known.cached(der) is None
    assert known.of(der).workload == peer.workload
    known.of(der)
    assert len(asked) == 1
    kit.clock.forward(6)
    known.of(der)
    assert len(asked) == 2


def test_forgotten_agents_are_refused_at_once(kit: Kit) -> None:
    _, reply, peer = kit.enrol()
    known = Identities(kit.agents.peer, kit.clock)
    kit.agents.on_change = lambda _t, _w, agent: known.forget(agent)
    known.of(der_of(reply.certificate))
    kit.agents.revoke("default", peer.agent)
    with pytest.raises(Forbidden, match="revoked"):
        known.of(der_of(reply.certificate))


def test_what_is_forgotten_during_a_lookup_is_not_kept(kit: Kit) -> None:
    _, reply, peer = kit.enrol()
    der = ssl.PEM_cert_to_DER_cert(reply.certificate.decode())

    def lookup(agent: str, serial: str) -> Peer:
        identities.forget(agent)  # revoked while the answer was on its way
        return peer

    identities = Identities(lookup, kit.clock)
    assert identities.of(der) == peer
    assert identities.cached(der) is None
