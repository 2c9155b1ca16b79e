import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk import signing
from hauberk.agent.desired import DesiredState
from hauberk.agent.link import REFUSED_PAUSE_S, Hooks, LinkLoop, sealer
from hauberk.agent.tasks import TaskGate
from hauberk.errors import Busy, Unreachable
from hauberk.link import envelope
from hauberk.link.client.identity import Identity
from hauberk.link.client.sender import Sender
from hauberk.link.client.transport import GatewayRefused
from hauberk.schema.link import BatchReply, BeatReply, Refusal, Schedule

KEY, NEW_KEY = (Ed25519PrivateKey.from_private_bytes(b * 32) for b in (b"a", b"n"))


class Server:
    """What the gateway would answer; remembers what came."""

    def __init__(self):
        self.beats, self.batches, self.results = [], [], []
        self.reply, self.error, self.result_error = BeatReply(), None, None
        self.bytes_out = 0
        self.closed = False

    def beat(self, beat):
        self.beats.append(beat)
        if self.error:
            raise self.error
        return self.reply

    def batch(self, body):
        if self.error:
            raise self.error
        self.bytes_out += len(body)
        self.batches.append(body)
        return BatchReply(sequence=1)

    def result(self, result):
        if self.result_error:
            raise self.result_error
        self.results.append(result)

    def close(self):
        self.closed = True


class OwnIdentity(Identity, frozen=True, kw_only=True):
    due_ns: int = 2**63

    ends_ns: int = 2**63

    def rotation_due_ns(self):
        return self.due_ns

    def expires_ns(self):
        return self.ends_ns


@pytest.fixture
def me(ids, tmp_path):
    return OwnIdentity(ids=ids, key=KEY, certificate=b"", ca=b"", folder=tmp_path / "g1")


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def calls():
    return []


@pytest.fixture
def other():
    """Set `identity` to what lies on disk."""
    return {"identity": None, "rotate": None, "due_ns": 2**63}


@pytest.fixture
def loop(me, spool, server, tmp_path, clock, ledger, calls, other):
    def rotate(identity, gateway):
        calls.append("rotate")
        if isinstance(other["rotate"], Exception):
            raise other["rotate"]
        return msgspec.structs.replace(identity, key=NEW_KEY, due_ns=other["due_ns"])

    hooks = Hooks(
        beat=lambda entries, version: (len(entries), version),
        task=lambda task: calls.append(("task", task.id)),
        desired=lambda d: calls.append(("desired", d.version)),
        resync=lambda: calls.append("resync"),
        rotate=rotate,
        identity_changed=lambda _identity: other["identity"],
        connect=lambda _identity: server,
    )
    sender = Sender(spool, server, sealer(me), random=lambda: 0.5, quarantine=tmp_path / "q")
    gate = TaskGate(tmp_path / "tasks.json", me.ids, boot="boot-1", clock=clock)
    made = LinkLoop(
        me,
        spool,
        sender,
        gate,
        DesiredState(tmp_path / "desired", me.ids),
        ledger,
        clock,
        hooks,
        gateway=server,
        beat_s=5.0,
        random=lambda: 0.5,
    )
    made.gate, made.sender = gate, sender
    return made


def run(loop, clock, seconds):
    end = clock.mono + int(seconds * 1e9)
    while clock.mono < end:
        clock.advance(min(max(loop.turn(), 0.001), (end - clock.mono) / 1e9 + 0.001))


def test_beats_keep_their_pace_and_batches_go_at_once(loop, server, spool, clock):
    run(loop, clock, 60)
    assert 11 <= len(server.beats) <= 13
    spool.append("e", b"rows", 1)
    spool.append("e", b"more", 1)
    assert loop.idle()
    assert loop.turn() == 0.0
    assert loop.turn() == 0.0
    assert len(server.batches) == 2
    header, raw = envelope.read(server.batches[0], lambda _agent: KEY.public_key())
    assert (header.agent, header.boot, header.sequence, raw) == ("a1", "boot-1", 1, b"rows")


def test_ledger_entries_are_told_once(loop, server, ledger, clock):
    ledger.add("x", rows=1)
    clock.advance(60)
    server.error = Unreachable("gone")
    loop.turn()
    server.error = None
    run(loop, clock, 90)
    counts = [beat[0] for beat in server.beats]
    assert counts[:2] == [1, 1]
    assert counts[2] == 0


def test_an_hour_without_server_then_everything_arrives_soon(loop, server, spool, clock):
    server.error = Unreachable("gone")
    end = clock.mono + 3600 * 10**9
    made = 0
    while clock.mono < end:
        spool.append("e", str(made).encode(), 1)
        made += 1
        clock.jump((-1) ** made * 90)
        run(loop, clock, 30)
    assert server.batches == []
    assert len(server.beats) < 150
    server.error = None
    run(loop, clock, 100)
    assert len(server.batches) == made
    raws = [envelope.read(b, lambda _a: KEY.public_key())[1] for b in server.batches]
    assert raws == [str(n).encode() for n in range(made)]


def test_a_returning_server_ends_the_senders_pause(loop, server, spool, clock):
    spool.append("e", b"x", 1)
    server.error = Busy("full", retry_after=0)
    run(loop, clock, 300)
    server.error = None
    beats = len(server.beats)
    while len(server.beats) == beats:
        run(loop, clock, 0.5)
    assert len(server.batches) == 1


def test_tasks_desired_and_resync_are_passed_on(loop, server, sign, task, desired, clock, calls):
    wanted = desired(version=2, schedule=Schedule(paused=["os.kernel"]))
    server.reply = BeatReply(
        tasks=[sign("task", task())], desired=sign("desired", wanted), resync=True
    )
    loop.turn()
    assert calls == ["resync", ("desired", 2), ("task", "task-1")]
    server.reply = BeatReply(tasks=[sign("task", task())])
    run(loop, clock, 12)
    assert calls.count(("task", "task-1")) == 1
    assert server.beats[-1][1] == 2


def test_a_forged_desired_state_is_logged_and_not_taken(loop, server, sign, desired, calls, caplog):
    server.reply = BeatReply(desired=sign("desired", desired(version=2), NEW_KEY))
    loop.turn()
    assert calls == []
    assert "not taken" in caplog.text


def test_answers_are_sent_until_the_server_has_them(loop, server, sign, task, clock):
    loop.gate.judge(sign("task", task()))
    loop.gate.finish("task-1", "done", "ok")
    server.result_error = Unreachable("gone")
    run(loop, clock, 20)
    assert server.results == []
    server.result_error = None
    run(loop, clock, 20)
    assert [(r.task, r.outcome) for r in server.results] == [("task-1", "done")]
    loop.gate.judge(sign("task", task(id="gone", sequence=2)))
    loop.gate.finish("gone", "done", "ok")
    server.result_error = GatewayRefused(Refusal(code="drop", message="no such task"))
    run(loop, clock, 5)
    assert loop.gate.untold() == []


def test_a_refused_identity_stops_everything_until_another_lies_on_disk(
    loop, server, spool, clock, me, other, calls
):
    server.error = GatewayRefused(Refusal(code="enrol", message="cloned"))
    assert loop.turn() >= 0
    beats = len(server.beats)
    spool.append("e", b"x", 1)
    assert loop.turn() == REFUSED_PAUSE_S
    assert not loop.idle()
    run(loop, clock, 600)
    assert len(server.beats) == beats
    server.error = None
    ids = msgspec.structs.replace(me.ids, agent="a2")
    other["identity"] = msgspec.structs.replace(me, ids=ids, key=NEW_KEY)
    run(loop, clock, 20)
    assert server.closed
    header, _ = envelope.read(server.batches[0], lambda _a: NEW_KEY.public_key())
    assert header.agent == "a2"
    assert calls == [("desired", 0), "resync"]


def test_rotation_when_due_or_asked_but_never_in_doubt(loop, server, spool, clock, calls):
    run(loop, clock, 120)
    assert "rotate" not in calls
    spool.append("e", b"x", 1)
    server.error = Unreachable("cut after the request")
    loop.turn()
    server.reply = BeatReply(rotate=True)
    loop._rotate_asked = True
    run(loop, clock, 200)
    assert loop.sender.in_doubt
    assert "rotate" not in calls
    server.error = None
    server.reply = BeatReply()
    run(loop, clock, 200)
    assert calls.count("rotate") == 1
    spool.append("e", b"y", 1)
    loop.turn()
    envelope.read(server.batches[-1], lambda _a: NEW_KEY.public_key())
    assert signing.raw_public(loop.identity.key) == signing.raw_public(NEW_KEY)


def test_a_failed_rotation_is_tried_again_later(loop, clock, calls, other, me):
    loop.identity = msgspec.structs.replace(me, due_ns=0)
    other["rotate"] = Unreachable("gone")
    run(loop, clock, 130)
    assert 2 <= calls.count("rotate") <= 3
    other["rotate"] = None
    run(loop, clock, 130)
    assert 3 <= calls.count("rotate") <= 4


def test_a_clock_that_runs_ahead_does_not_renew_all_the_time(loop, clock, calls, me, server, other):
    other["due_ns"] = 0  # due again as soon as it is renewed
    loop.identity = msgspec.structs.replace(me, due_ns=0)
    run(loop, clock, 1800)
    assert calls.count("rotate") == 1
    server.reply = BeatReply(rotate=True)
    run(loop, clock, 20)
    assert calls.count("rotate") > 1


def test_an_expired_certificate_is_named_and_enrolling_anew_mends_it(
    loop, server, clock, me, other, caplog
):
    loop.identity = msgspec.structs.replace(me, ends_ns=clock.wall - 1)
    server.error = Unreachable("handshake failed")
    loop.turn()
    assert "expired" in caplog.text
    other["identity"] = msgspec.structs.replace(me, key=NEW_KEY)
    run(loop, clock, 60)
    assert signing.raw_public(loop.identity.key) == signing.raw_public(NEW_KEY)


def test_a_task_whose_journal_cannot_be_written_waits(
    loop, server, sign, task, calls, clock, monkeypatch
):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    server.reply = BeatReply(tasks=[sign("task", task())])
    with monkeypatch.context() as patch:
        patch.setattr("hauberk.agent.tasks.write_atomic", full)
        loop.turn()
    assert calls == []
    run(loop, clock, 6)
    assert calls == [("task", "task-1")]
