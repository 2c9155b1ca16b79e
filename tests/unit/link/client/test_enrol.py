import msgspec
import pytest
from cryptography import x509

from hauberk import signing
from hauberk.errors import BadWire, Busy, NotFound, Refused
from hauberk.link.client import enrol
from hauberk.link.client import identity as identities
from hauberk.link.client.transport import GatewayRefused, Transport
from hauberk.schema.ids import agent_id
from hauberk.schema.link import (
    EnrolReply,
    EnrolRequest,
    RotateReply,
    RotateRequest,
    WorkloadFacts,
)

FACTS = WorkloadFacts(hostname="h")


def join(folder, token, **more):
    return enrol.enrol(folder, token, facts=FACTS, version="1", timeout_s=5, **more)


def server(authority, gateway):
    requests = []

    def accept(body, _peer):
        request = msgspec.msgpack.decode(body, type=EnrolRequest)
        requests.append(request)
        cert = authority.issue(request.csr)
        public = x509.load_pem_x509_certificate(cert).public_key()
        reply = EnrolReply(
            agent=agent_id(signing.raw_public(public)),
            workload="w",
            certificate=cert,
            ca=authority.pem,
            task_key=bytes(32),
            task_key_id="k",
            tenant="t",
        )
        return 201, msgspec.msgpack.encode(reply)

    gateway.routes["GET", "/v1/ca"] = lambda _b, _p: (200, authority.pem)
    gateway.routes["POST", "/v1/enrol"] = accept
    return requests


def test_enrols_and_the_identity_serves_tls(authority, gateway, tmp_path, token_for):
    requests = server(authority, gateway)
    token = token_for(gateway.url)
    identity = join(tmp_path / "id", f" {token}\n", site="lab")
    assert (requests[0].token, requests[0].site) == (token, "lab")
    assert identities.load(tmp_path / "id").ids == identity.ids
    assert identity.ids.url == gateway.url
    gateway.routes["POST", "/v1/batch"] = lambda _b, peer: (
        200,
        msgspec.msgpack.encode({"sequence": len(peer["subject"])}),
    )
    transport = Transport(identity, timeout_s=5)
    assert transport.batch(b"x").sequence == 1
    transport.close()


def test_a_ca_bundle_may_hold_more_than_the_named_one(
    authority, other_authority, gateway, tmp_path, token_for
):
    server(authority, gateway)
    gateway.routes["GET", "/v1/ca"] = lambda _b, _p: (200, other_authority.pem + authority.pem)
    assert join(tmp_path / "id", token_for(gateway.url)).ids.workload == "w"


def test_another_ca_gets_neither_token_nor_facts(
    authority, other_authority, gateway, tmp_path, token_for
):
    requests = server(authority, gateway)
    token = token_for(gateway.url, other_authority.sha256)
    with pytest.raises(Refused, match="another CA"):
        join(tmp_path / "id", token)
    assert requests == []
    assert [c[1] for c in gateway.calls] == ["/v1/ca"]
    with pytest.raises(NotFound):
        identities.load(tmp_path / "id")


def test_a_used_token_is_refused_in_the_servers_words(
    authority, gateway, tmp_path, token_for, refuse
):
    server(authority, gateway)
    gateway.routes["POST", "/v1/enrol"] = refuse("enrol", 403, "token was used")
    with pytest.raises(GatewayRefused, match="token was used"):
        join(tmp_path / "id", token_for(gateway.url))
    gateway.routes["POST", "/v1/enrol"] = refuse("later", 503, "busy", 3)
    with pytest.raises(Busy):
        join(tmp_path / "id", token_for(gateway.url))
    with pytest.raises(BadWire):
        join(tmp_path / "id", "hbk1_nonsense")


def test_an_answer_for_another_key_is_refused(authority, gateway, tmp_path, token_for):
    server(authority, gateway)
    reply = EnrolReply(
        agent="f" * 32, workload="w", certificate=b"", ca=b"", task_key=b"", task_key_id=""
    )
    gateway.routes["POST", "/v1/enrol"] = lambda _b, _p: (200, msgspec.msgpack.encode(reply))
    with pytest.raises(Refused, match="not this key"):
        join(tmp_path / "id", token_for(gateway.url))


def test_rotation_is_vouched_for_by_the_old_key(identity, authority, gateway, tmp_path):
    def renew(body, _peer):
        request = msgspec.msgpack.decode(body, type=RotateRequest)
        signing.verify(identity.key.public_key(), "rotate", request.csr, request.proof)
        return 200, msgspec.msgpack.encode(
            RotateReply(
                certificate=authority.issue(request.csr),
                ca=authority.pem,
                task_key=bytes(32),
                task_key_id="k1",
            )
        )

    gateway.routes["POST", "/v1/rotate"] = renew
    transport = Transport(identity, timeout_s=5)
    renewed = enrol.rotate(tmp_path / "identity", identity, transport)
    transport.close()
    assert renewed.ids.agent == identity.ids.agent
    assert signing.raw_public(renewed.key) != signing.raw_public(identity.key)
    again = Transport(identities.load(tmp_path / "identity"), timeout_s=5)
    gateway.routes["POST", "/v1/batch"] = lambda _b, peer: (
        200,
        msgspec.msgpack.encode({"sequence": int(bool(peer))}),
    )
    assert again.batch(b"x").sequence == 1
    again.close()


def test_a_refused_rotation_changes_nothing(identity, gateway, tmp_path, refuse):
    gateway.routes["POST", "/v1/rotate"] = refuse("enrol", 403)
    transport = Transport(identity, timeout_s=5)
    with pytest.raises(GatewayRefused):
        enrol.rotate(tmp_path / "identity", identity, transport)
    transport.close()
    assert identities.load(tmp_path / "identity").certificate == identity.certificate
