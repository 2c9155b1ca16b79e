import msgspec
import pytest

from hauberk.schema.link import (
    Beat,
    BeatReply,
    Desired,
    EnrolReply,
    Refusal,
    Resources,
    SensorHealth,
    Signed,
    Task,
    WorkloadFacts,
)

BEAT = Beat(
    instance="i",
    boot="b",
    wall_ns=1,
    mono_ns=2,
    version="0",
    facts=WorkloadFacts(hostname="h"),
    sensor=SensorHealth(tier="A"),
    resources=Resources(
        cpu_s=0.1,
        private_bytes=1,
        resident_bytes=2,
        spool_bytes=3,
        spool_dropped=4,
        background_grant_pct=1.0,
        event_grant_pct=10.0,
    ),
)
BODIES = [
    BEAT,
    BeatReply(tasks=[b"t"], desired=b"d", resync=True),
    EnrolReply(
        agent="a", workload="w", certificate=b"", ca=b"", task_key=bytes(32), task_key_id="k"
    ),
    Refusal(code="later", message="m", retry_after=2.0),
    Signed(b"body", b"signature"),
    Task(
        id="1",
        tenant="t",
        workload="w",
        agent="a",
        sequence=1,
        key_id="k",
        kind="collect",
        not_before_ns=0,
        not_after_ns=1,
        ttl_s=1.0,
    ),
    Desired(tenant="t", workload="w", agent="a", version=1, key_id="k"),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda b: type(b).__name__)
def test_bodies_survive_and_tolerate_newer_fields(body):
    raw = msgspec.msgpack.encode(body)
    assert msgspec.msgpack.decode(raw, type=type(body)) == body
    if not isinstance(body, Signed):
        newer = msgspec.msgpack.decode(raw) | {"field_of_a_newer_version": 1}
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(newer), type=type(body)) == body


def test_an_older_server_may_leave_the_tenant_out():
    raw = msgspec.to_builtins(BODIES[2], builtin_types=(bytes,))
    del raw["tenant"]
    assert msgspec.convert(raw, EnrolReply).tenant == ""


def test_unknown_kinds_are_refused():
    raw = msgspec.to_builtins(BODIES[5]) | {"kind": "shell"}
    with pytest.raises(msgspec.ValidationError, match="shell"):
        msgspec.convert(raw, Task)
