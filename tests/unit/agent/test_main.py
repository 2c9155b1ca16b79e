import collections
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from hauberk.agent import main as module
from hauberk.agent.main import run
from hauberk.agent.settings import AgentSettings
from hauberk.errors import NotFound
from hauberk.link import envelope, wire
from hauberk.link.client import identity as identities
from hauberk.schema.ids import agent_id
from hauberk.schema.link import BatchReply, Beat, BeatReply, EnrolReply, Refusal
from hauberk.signing import raw_public

CODE = (
    "import logging, os, sys; logging.basicConfig(level='INFO');"
    "from hauberk.agent.main import run; from hauberk.agent.settings import load;"
    "status = run(load(os.environ));"
    "print('modules', *{m.split('.')[0] for m in sys.modules}, file=sys.stderr);"
    "sys.exit(status)"
)
SERVER_ONLY = {
    "alembic",
    "argon2",
    "deltalake",
    "duckdb",
    "litestar",
    "pyarrow",
    "sqlalchemy",
    "uvicorn",
    "rich",
    "cyclopts",
}
PATIENCE_S = 60


class Watched:
    """An enrolled agent in a process of its own, and what its server got."""

    def __init__(self, folder, authority, gateway):
        self.folder, self.gateway = folder, gateway
        self.key = identities.new_key()
        reply = EnrolReply(
            agent=agent_id(raw_public(self.key)),
            workload="w1",
            tenant="t1",
            certificate=authority.issue(identities.csr(self.key)),
            ca=authority.pem,
            task_key=bytes(32),
            task_key_id="k1",
        )
        identities.save(folder / "identity", gateway.url, self.key, reply)
        self.beats, self.rows, self.bodies = [], collections.Counter(), {}
        self.conflicts, self.child = [], None
        gateway.routes["POST", "/v1/batch"] = self.batch
        gateway.routes["POST", "/v1/beat"] = self.beat

    def batch(self, body, _peer):
        header, raw = envelope.read(body, lambda _agent: self.key.public_key())
        known = self.bodies.setdefault((header.boot, header.sequence), body)
        if known != body:
            self.conflicts.append(header.sequence)
            refusal = Refusal(code="drop", message="same sequence, other bytes")
            return 409, msgspec.msgpack.encode(refusal)
        for table in wire.decode_batch(raw).tables:
            self.rows[table.name] += table.rows
        return 200, msgspec.msgpack.encode(BatchReply(sequence=header.sequence))

    def beat(self, body, _peer):
        self.beats.append(msgspec.msgpack.decode(body, type=Beat))
        return 200, msgspec.msgpack.encode(BeatReply())

    def start(self, **env):
        values = {
            "HAUBERK_AGENT_FOLDER": str(self.folder),
            "HAUBERK_AGENT_BEAT_S": "0.5",
            "HAUBERK_AGENT_SENSOR": "false",
        }
        self.child = subprocess.Popen(
            [sys.executable, "-c", CODE],
            env=os.environ | values | env,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.child

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.child.poll() is None, self.child.stderr.read()
            assert time.monotonic() < end, "the agent did not do it"
            time.sleep(0.02)

    def stop(self, number=signal.SIGTERM):
        self.child.send_signal(number)
        log = self.child.stderr.read()
        self.child.stderr.close()
        return self.child.wait(), log


@pytest.fixture
def agent(tmp_path, authority, gateway):
    made = Watched(tmp_path / "agent", authority, gateway)
    yield made
    if made.child is not None and made.child.poll() is None:
        made.child.kill()
        made.child.wait()
    if made.child is not None and not made.child.stderr.closed:
        made.child.stderr.close()


def test_starts_reports_and_stops_cleanly(agent):
    agent.start()
    agent.until(lambda: agent.rows["asset/runtime.process"] > 0 and len(agent.beats) > 1)
    assert agent.rows["collection"] > 0
    beat = agent.beats[-1]
    assert beat.facts.kernel == os.uname().release
    assert beat.resources.resident_bytes > 0
    assert beat.certificate_expires_ns > beat.wall_ns
    assert len({b.instance for b in agent.beats}) == 1
    second = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"HAUBERK_AGENT_FOLDER": str(agent.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "another agent runs" in second.stderr
    status, log = agent.stop()
    assert status == 0, log
    assert "agent stopped" in log
    assert "Traceback" not in log
    loaded = set(log.rpartition("modules ")[2].split())
    assert "msgspec" in loaded
    assert not loaded & SERVER_ONLY


def test_kill_9_and_again_repeats_no_sequence(agent):
    for _ in range(3):
        before = len(agent.bodies)
        agent.start()
        agent.until(lambda: len(agent.bodies) >= before + 3)  # noqa: B023 called at once
        agent.stop(signal.SIGKILL)
    instances = {b.instance for b in agent.beats}
    agent.start()
    before = len(agent.bodies)
    agent.until(lambda: {b.instance for b in agent.beats} > instances)
    agent.until(lambda: len(agent.bodies) >= before + 3)
    assert agent.stop()[0] == 0
    assert agent.conflicts == []
    sequences = sorted(s for _, s in agent.bodies)
    assert len({boot for boot, _ in agent.bodies}) == 1
    assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="watching processes needs root")
def test_what_happens_on_the_machine_arrives(agent):
    agent.start(HAUBERK_AGENT_SENSOR="true", HAUBERK_AGENT_SELF_PIDS=str(os.getpid()))
    agent.until(lambda: any(b.sensor.tier != "none" for b in agent.beats))
    agent.until(
        lambda: subprocess.run(["/bin/true"], check=True) and agent.rows["process_activity"] > 0
    )
    assert agent.stop()[0] == 0
    assert agent.conflicts == []


def test_a_goodbye_that_nobody_heard_is_said_at_the_next_start(agent):
    """Else the server takes the ordered end for a kill."""
    agent.start()
    agent.until(lambda: agent.beats)
    first = agent.beats[-1].instance
    route = agent.gateway.routes.pop(("POST", "/v1/beat"))
    assert agent.stop()[0] == 0
    agent.gateway.routes["POST", "/v1/beat"] = route
    seen = len(agent.beats)
    agent.start()
    agent.until(lambda: len(agent.beats) > seen + 1)
    said, new = agent.beats[seen : seen + 2]
    assert (said.instance, said.goodbye) == (first, "stopped")
    assert new.instance != first
    assert agent.stop()[0] == 0
    assert [b.instance for b in agent.beats if b.goodbye] == [first, new.instance]
    assert not (agent.folder / "goodbye").exists()


def test_not_enrolled_says_what_to_do(tmp_path):
    with pytest.raises(NotFound, match="hauberk enroll"):
        run(AgentSettings(folder=str(tmp_path / "none")))


def test_one_that_cannot_start_does_not_spin(tmp_path, monkeypatch, capsys):
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    monkeypatch.setenv("HAUBERK_AGENT_FOLDER", str(tmp_path / "none"))
    assert module.main() == 1
    assert "hauberk enroll" in capsys.readouterr().err
    monkeypatch.setattr(module, "run", lambda _settings: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        module.main()
    assert waited == [module.AGAIN_S] * 2
    monkeypatch.setattr(module, "run", lambda _settings: 3)
    assert module.main() == 3
    assert len(waited) == 2
