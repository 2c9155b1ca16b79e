import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk.agent.tasks import MAX_ENTRIES, TaskGate
from hauberk.errors import BadInput

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


@pytest.fixture
def gate(tmp_path, ids, clock):
    def make(boot="boot-1"):
        return TaskGate(tmp_path / "tasks.json", ids, boot=boot, clock=clock)

    return make


def answers(gate):
    return [(r.task, r.outcome, r.message.split(" ")[0].rstrip(":")) for r in gate.untold()]


def test_a_task_runs_once_and_its_answer_is_kept_until_told(gate, sign, task):
    g = gate()
    raw = sign("task", task())
    assert g.judge(raw) == task()
    assert g.judge(raw) is None
    assert g.untold() == []
    g.finish("task-1", "done", "ok")
    g.finish("task-1", "failed", "second thoughts")
    assert answers(g) == [("task-1", "done", "ok")]
    g.told("task-1")
    assert g.untold() == []
    again = gate()
    assert again.judge(raw) is None
    assert answers(again) == [("task-1", "done", "ok")]


def test_replays_are_refused_also_after_a_restart(gate, sign, task):
    gate().judge(sign("task", task(id="a", sequence=5)))
    g = gate()
    assert g.judge(sign("task", task(id="b", sequence=5))) is None
    assert g.judge(sign("task", task(id="c", sequence=4))) is None
    assert g.judge(sign("task", task(id="d", sequence=6))) is not None
    assert [(t, o) for t, o, _ in answers(g)] == [
        ("a", "failed"),
        ("b", "refused"),
        ("c", "refused"),
    ]


def test_a_known_id_with_other_bytes_is_not_run(gate, sign, task):
    g = gate()
    g.judge(sign("task", task(sequence=1)))
    assert g.judge(sign("task", task(sequence=2))) is None
    assert g.judge(sign("task", task(id="next", sequence=2))) is not None


def test_foreign_unsigned_and_damaged_ones_are_refused_and_told(gate, sign, task):
    g = gate()
    assert g.judge(sign("task", task(id="x"), OTHER)) is None
    assert g.judge(sign("task", task(id="y", workload="w2"))) is None
    assert g.judge(b"garbage") is None
    assert [(t, o) for t, o, _ in answers(g)] == [("x", "refused"), ("y", "refused")]


def test_a_forged_id_does_not_shadow_the_genuine_task(gate, sign, task):
    g = gate()
    g.judge(sign("task", task(), OTHER))
    assert g.judge(sign("task", task())) is not None


def test_expired_by_the_wall_clock(gate, sign, task, clock):
    g = gate()
    raw = sign("task", task(not_after_ns=clock.wall - 1))
    assert g.judge(raw) is None
    assert answers(g) == [("task-1", "refused", "expired")]


def test_a_clock_set_back_does_not_stretch_a_task(gate, sign, task, clock):
    g = gate()
    waiting = sign("task", task(not_before_ns=clock.wall + 30 * 10**9, ttl_s=60.0))
    assert g.judge(waiting) is None
    assert g.untold() == []
    clock.advance(61)
    clock.jump(-61)
    assert g.judge(waiting) is None
    assert answers(g) == [("task-1", "refused", "expired")]


def test_an_early_task_waits_and_then_runs(gate, sign, task, clock):
    g = gate()
    raw = sign("task", task(not_before_ns=clock.wall + 5 * 10**9))
    assert g.judge(raw) is None
    clock.advance(6)
    assert g.judge(raw) is not None


def test_a_clock_set_forward_expires_it(gate, sign, task, clock):
    g = gate()
    clock.jump(86400)
    late = task(not_before_ns=0, not_after_ns=clock.wall - 86400 * 10**9 + 60 * 10**9)
    assert g.judge(sign("task", late)) is None
    assert answers(g) == [("task-1", "refused", "expired")]


def test_time_running_out_in_the_queue(gate, sign, task, clock):
    g = gate()
    made = task(ttl_s=10.0)
    assert g.judge(sign("task", made)) == made
    assert not g.expired(made)
    clock.advance(11)
    assert g.expired(made)
    assert answers(g) == [("task-1", "refused", "expired")]
    assert g.expired(task(id="never seen"))


def test_a_crash_in_the_middle_never_runs_it_twice(gate, sign, task):
    raw = sign("task", task())
    assert gate().judge(raw) is not None
    after = gate()
    assert after.judge(raw) is None
    assert after.untold()[0].outcome == "failed"
    assert "restarted" in after.untold()[0].message


def test_seen_before_a_reboot_its_age_is_unknown(gate, sign, task, clock):
    raw = sign("task", task(not_before_ns=clock.wall + 10**9))
    gate("boot-1").judge(raw)
    clock.advance(2)
    after = gate("boot-2")
    assert after.judge(raw) is None
    assert "boot" in after.untold()[0].message


def test_the_journal_is_bounded_and_keeps_the_highest_sequence(gate, sign, task):
    g = gate()
    for number in range(1, MAX_ENTRIES + 20):
        made = task(id=f"t{number}", sequence=number)
        assert g.judge(sign("task", made)) is not None
        g.finish(made.id, "done", "")
        g.told(made.id)
    assert g.judge(sign("task", task(id="t1", sequence=1))) is None
    assert g.untold()[0].message.startswith("replayed")


def test_a_damaged_journal_stops_rather_than_guesses(gate, tmp_path, sign, task):
    gate().judge(sign("task", task()))
    (tmp_path / "tasks.json").write_bytes(b"{")
    with pytest.raises(BadInput, match="damaged"):
        gate()


def test_a_new_agent_id_starts_its_own_journal(gate, sign, task, ids):
    g = gate()
    g.judge(sign("task", task(sequence=9)))
    g.use(msgspec.structs.replace(ids, agent="a2"))
    assert g.judge(sign("task", task(id="n", agent="a2", sequence=1))) is not None


def test_without_room_for_the_journal_nothing_runs_and_nothing_is_forgotten(
    gate, sign, task, monkeypatch, caplog
):
    g = gate()
    g.judge(sign("task", task(id="running")))

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hauberk.agent.tasks.write_atomic", full)
        with pytest.raises(OSError, match="No space"):
            g.judge(sign("task", task(sequence=2)))
        g.finish("running", "done", "ok")
        gate()
    assert "No space" in caplog.text
    assert g.judge(sign("task", task(sequence=2))) is not None
    assert [r.task for r in g.untold()] == ["running"]
