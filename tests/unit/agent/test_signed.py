import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.agent.signed import claimed_id, open_signed
from hauberk.errors import Refused
from hauberk.schema.link import Desired, Task

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def test_ours_is_opened(ids, sign, task):
    made = task()
    assert open_signed(sign("task", made), "task", Task, ids) == made


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"tenant": "t2"}, "tenant 't2'"),
        ({"workload": "w2"}, "workload w2"),
        ({"agent": "a2"}, "agent a2"),
        ({"key_id": "k2"}, "key k2"),
    ],
)
def test_foreign_ones_are_refused(ids, sign, task, change, hint):
    with pytest.raises(Refused, match=hint):
        open_signed(sign("task", task(**change)), "task", Task, ids)


def test_unsigned_wrongly_signed_and_other_contexts(ids, sign, task):
    with pytest.raises(Refused, match="signature"):
        open_signed(sign("task", task(), OTHER), "task", Task, ids)
    with pytest.raises(Refused, match="signature"):
        open_signed(sign("desired", task()), "task", Task, ids)
    with pytest.raises(Refused):
        open_signed(msgspec.msgpack.encode(task()), "task", Task, ids)
    with pytest.raises(Refused, match="decoded"):
        open_signed(sign("task", task()), "desired", Desired, ids)


def test_without_a_known_tenant_the_rest_still_holds(ids, sign, task):
    loose = msgspec.structs.replace(ids, tenant="")
    assert open_signed(sign("task", task(tenant="t9")), "task", Task, loose).tenant == "t9"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_refused(ids, raw):
    with pytest.raises(Refused):
        open_signed(raw, "task", Task, ids)
    assert claimed_id(raw) == ""
