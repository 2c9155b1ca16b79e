import socket
import ssl
import threading

import msgspec
import pytest

from hauberk.errors import BadInput, Busy, Unreachable
from hauberk.link.client import identity as identities
from hauberk.link.client.transport import (
    MAX_REPLY,
    Channel,
    GatewayRefused,
    Transport,
    decode_reply,
    verified_context,
)
from hauberk.schema.link import (
    BatchReply,
    Beat,
    BeatReply,
    Resources,
    SensorHealth,
    TaskResult,
    WorkloadFacts,
)


def pack(body):
    return msgspec.msgpack.encode(body)


@pytest.fixture
def transport(identity):
    made = Transport(identity, timeout_s=5)
    yield made
    made.close()


def test_the_certificate_reaches_the_gateway_and_the_connection_is_kept(
    transport, gateway, identity
):
    seen = []

    def batch(body, peer):
        seen.append((body, dict(pair[0] for pair in peer["subject"])["commonName"]))
        return 200, pack(BatchReply(sequence=len(seen)))

    gateway.routes["POST", "/v1/batch"] = batch
    gateway.routes["POST", "/v1/result"] = lambda _b, _p: (200, b"")
    assert transport.batch(b"one").sequence == 1
    assert transport.batch(b"two").sequence == 2
    transport.result(TaskResult(task="t", outcome="done"))
    assert seen == [(b"one", identity.ids.agent), (b"two", identity.ids.agent)]
    assert gateway.connections == 1
    assert transport.bytes_out > 6


@pytest.mark.parametrize(
    ("code", "status"), [("drop", 400), ("drop", 413), ("enrol", 401), ("enrol", 409)]
)
def test_a_no_for_good_carries_its_code(transport, gateway, refuse, code, status):
    gateway.routes["POST", "/v1/batch"] = refuse(code, status, "why not")
    with pytest.raises(GatewayRefused, match="why not") as caught:
        transport.batch(b"x")
    assert caught.value.refusal.code == code


def test_later_carries_the_wait(transport, gateway, refuse):
    gateway.routes["POST", "/v1/batch"] = refuse("later", 429, "full", 7.5)
    with pytest.raises(Busy, match="full") as caught:
        transport.batch(b"x")
    assert caught.value.retry_after == 7.5


@pytest.mark.parametrize("status", [400, 403, 404, 500, 502])
def test_a_proxy_in_between_never_makes_us_drop(transport, gateway, status):
    gateway.routes["POST", "/v1/batch"] = lambda _b, _p: (status, b"<html>blocked</html>")
    gateway.headers["retry-after"] = "12"
    with pytest.raises(Busy, match="not from a gateway") as caught:
        transport.batch(b"x")
    assert caught.value.retry_after == 12


def test_a_2xx_that_is_no_reply_accepts_nothing(transport, gateway):
    gateway.routes["POST", "/v1/batch"] = lambda _b, _p: (200, b"hello")
    with pytest.raises(Unreachable, match="not BatchReply"):
        transport.batch(b"x")
    with pytest.raises(Unreachable):
        decode_reply(b"\xa1\x80", str, "x")


def test_a_reply_is_bounded(transport, gateway):
    gateway.routes["POST", "/v1/batch"] = lambda _b, _p: (200, bytes(MAX_REPLY + 2))
    with pytest.raises(Unreachable, match="over"):
        transport.batch(b"x")


def test_nobody_there(identity, gateway):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    context = verified_context(identity.ca)
    channel = Channel(f"https://127.0.0.1:{port}", context, timeout_s=2)
    with pytest.raises(Unreachable, match="does not answer"):
        channel.call("GET", "/v1/ca")


def test_a_connection_that_the_server_closed_is_opened_anew(transport, gateway):
    gateway.routes["POST", "/v1/batch"] = lambda _b, _p: (200, pack(BatchReply(sequence=1)))
    gateway.headers["connection"] = "close"
    transport.batch(b"one")
    gateway.headers.clear()
    transport.batch(b"two")
    transport._channel._connection.sock.shutdown(socket.SHUT_RDWR)
    transport.batch(b"three")
    assert [c[2] for c in gateway.calls][-1] == b"three"


def test_a_server_of_another_ca_is_not_spoken_to(identity, other_authority, tmp_path):
    channel = Channel(identity.ids.url, verified_context(other_authority.pem), timeout_s=2)
    with pytest.raises(Unreachable, match="not the server of our enrolment"):
        channel.call("POST", "/v1/batch", b"secret")


def test_only_https_and_only_matching_files(identity, tmp_path):
    with pytest.raises(BadInput, match="https"):
        Channel("http://127.0.0.1", ssl.create_default_context())
    with pytest.raises(BadInput, match="not a CA"):
        verified_context(b"nonsense")
    key = identities.new_key()
    other = tmp_path / "identity/other"
    other.mkdir()
    for name in ("cert.pem", "ca.pem"):
        (other / name).write_bytes((identity.folder / name).read_bytes())
    (other / "key.pem").write_bytes(identity.key_file.read_bytes()[:-40])
    with pytest.raises(BadInput, match="enrol anew"):
        Transport(msgspec.structs.replace(identity, folder=other, key=key))


def test_a_call_in_progress_can_be_ended_from_another_thread(transport, gateway):
    inside, release, outcome = threading.Event(), threading.Event(), []

    def slow(body, _peer):
        if body == b"slow":
            inside.set()
            release.wait(30)
        return 200, pack(BatchReply(sequence=1))

    def call():
        try:
            transport.batch(b"slow")
        except Unreachable as error:
            outcome.append(error)

    gateway.routes["POST", "/v1/batch"] = slow
    transport.batch(b"first")
    thread = threading.Thread(target=call)
    thread.start()
    assert inside.wait(30)
    transport.abort()
    thread.join(30)
    release.set()
    assert len(outcome) == 1
    assert [c[2] for c in gateway.calls] == [b"first", b"slow"]


def test_a_part_of_a_package(gateway, identity, refuse):
    transport = Transport(identity)
    gateway.routes["GET", "/v1/package/abc"] = lambda _b, _p: (206, b"12345")
    assert transport.package("abc", 10, 5) == b"12345"
    with pytest.raises(Unreachable, match="5 bytes came"):
        transport.package("abc", 10, 4)
    gateway.routes["GET", "/v1/package/abc"] = lambda _b, _p: (206, b"")
    with pytest.raises(Unreachable):
        transport.package("abc", 10, 4)
    gateway.routes["GET", "/v1/package/abc"] = refuse("drop", 404)
    with pytest.raises(GatewayRefused):
        transport.package("abc", 0, 4)
    transport.close()


def beat():
    return Beat(
        instance="i",
        boot="b",
        wall_ns=1,
        mono_ns=1,
        version="1",
        facts=WorkloadFacts(hostname="h"),
        sensor=SensorHealth(tier="none"),
        resources=Resources(
            cpu_s=0,
            private_bytes=0,
            resident_bytes=0,
            spool_bytes=0,
            spool_dropped=0,
            background_grant_pct=1,
            event_grant_pct=1,
        ),
    )


def test_only_beats_that_were_taken_are_told(gateway, identity, refuse):
    told = []
    transport = Transport(identity, accepted=lambda: told.append(1))
    gateway.routes["POST", "/v1/beat"] = refuse("later", 503)
    with pytest.raises(Busy):
        transport.beat(beat())
    assert told == []
    gateway.routes["POST", "/v1/beat"] = lambda _b, _p: (200, msgspec.msgpack.encode(BeatReply()))
    transport.beat(beat())
    assert told == [1]
    transport.close()
