import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk.agent.desired import DesiredState
from hauberk.errors import Refused
from hauberk.schema.link import Budget, Schedule

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


@pytest.fixture
def state(tmp_path, ids):
    return lambda using=None: DesiredState(tmp_path / "desired", using or ids)


def test_defaults_are_version_0(state):
    assert state().current.version == 0
    assert state().current.budget == Budget()


def test_the_committed_version_survives_without_a_server(state, sign, desired):
    s = state()
    wanted = desired(version=3, schedule=Schedule(every_s={"os.kernel": 77}))
    assert s.accept(sign("desired", wanted))
    assert not s.accept(sign("desired", wanted))
    assert state().current == wanted


def test_older_foreign_and_unsigned_ones_change_nothing(state, sign, desired):
    s = state()
    s.accept(sign("desired", desired(version=3)))
    for raw in (
        sign("desired", desired(version=2)),
        sign("desired", desired(version=9), OTHER),
        sign("desired", desired(version=9, tenant="t2")),
        sign("task", desired(version=9)),
        b"",
    ):
        with pytest.raises(Refused):
            s.accept(raw)
    assert s.current.version == state().current.version == 3


def test_renewed_task_keys_keep_what_was_committed(state, sign, desired, ids):
    state().accept(sign("desired", desired(version=4)))
    renewed = msgspec.structs.replace(ids, task_key=bytes(32), task_key_id="k2")
    assert state(renewed).current.version == 4


def test_another_agent_id_starts_from_the_defaults(state, sign, desired, ids):
    s = state()
    s.accept(sign("desired", desired(version=4)))
    other = msgspec.structs.replace(ids, agent="a2")
    assert state(other).current.version == 0
    s.use(other)
    assert s.current.version == 0
    assert s.current.agent == "a2"


def test_a_damaged_or_forged_file_means_defaults_and_says_so(
    state, sign, desired, tmp_path, caplog
):
    state().accept(sign("desired", desired(version=4)))
    path = tmp_path / "desired"
    raw = bytearray(path.read_bytes())
    raw[-70] ^= 1
    path.write_bytes(raw)
    assert state().current.version == 0
    assert "defaults hold" in caplog.text
    path.write_bytes(b"\xff\xff")
    assert state().current.version == 0


def test_no_room_keeps_the_former_version(state, sign, desired, monkeypatch):
    s = state()
    s.accept(sign("desired", desired(version=1)))

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hauberk.agent.desired.write_atomic", full)
    with pytest.raises(OSError, match="No space"):
        s.accept(sign("desired", desired(version=2)))
    assert s.current.version == 1
