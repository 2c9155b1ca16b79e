import os
import signal
import subprocess
import sys

import msgspec
import pytest
from cryptography import x509

from hauberk.agent import lifecycle
from hauberk.agent.process import PidFile
from hauberk.agent.settings import AgentSettings
from hauberk.errors import Busy, Unreachable
from hauberk.link.client import identity as identities
from hauberk.link.client.transport import GatewayRefused
from hauberk.schema.ids import agent_id
from hauberk.schema.link import EnrolReply, EnrolRequest, Refusal
from hauberk.signing import raw_public


@pytest.fixture
def settings(tmp_path):
    return AgentSettings(folder=str(tmp_path / "agent"), timeout_s=5.0, site="lab")


def test_enroll_sends_the_machines_facts(settings, authority, gateway, token_for):
    seen = []

    def accept(body, _peer):
        request = msgspec.msgpack.decode(body, type=EnrolRequest)
        seen.append(request)
        public = x509.load_pem_x509_csr(request.csr).public_key()
        reply = EnrolReply(
            agent=agent_id(raw_public(public)),
            workload="w",
            certificate=authority.issue(request.csr),
            ca=authority.pem,
            task_key=bytes(32),
            task_key_id="k",
        )
        return 200, msgspec.msgpack.encode(reply)

    gateway.routes["GET", "/v1/ca"] = lambda _b, _p: (200, authority.pem)
    gateway.routes["POST", "/v1/enrol"] = accept
    ids = lifecycle.enroll(gateway.url, token_for("https://elsewhere.invalid"), settings)
    assert identities.load(settings.identity).ids == ids
    assert ids.url == gateway.url
    assert seen[0].site == "lab"
    assert seen[0].facts.hostname
    assert seen[0].facts.kernel == os.uname().release


def test_uninstall_removes_what_is_ours_and_nothing_else(settings):
    for name in ("identity/g1", "spool", "refused"):
        (settings.path / name).mkdir(parents=True)
    for name in ("desired", "tasks.json", "agent.pid", "spool/1.seg"):
        (settings.path / name).write_bytes(b"")
    foreign = settings.path / "notes.txt"
    foreign.write_text("mine")
    removed = lifecycle.uninstall(settings)
    assert sorted(removed) == ["agent.pid", "desired", "identity", "refused", "spool", "tasks.json"]
    assert [p.name for p in settings.path.iterdir()] == ["notes.txt"]
    foreign.unlink()
    assert lifecycle.uninstall(settings) == []
    assert not settings.path.exists()


def test_a_folder_that_is_a_mount_point_stays_and_the_rest_goes_on(settings, monkeypatch):
    (settings.path / "spool").mkdir(parents=True)

    def busy(self):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(lifecycle.Path, "rmdir", busy)
    moved = settings.path.parent / "gone"
    monkeypatch.setattr(lifecycle.shutil, "rmtree", lambda path: path.rename(moved))
    assert "spool" in lifecycle.uninstall(settings)


def test_uninstall_stops_the_agent_first(settings):
    settings.path.mkdir()
    code = (
        "import signal, sys; from pathlib import Path; from hauberk.agent.process import PidFile;"
        "PidFile(Path(sys.argv[1])); print('held', flush=True); signal.pause()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, settings.pid_file], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "held\n"
        lifecycle.uninstall(settings)
        assert child.wait() == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert not settings.path.exists()


def test_the_agents_last_word_tells_of_the_uninstallation(settings):
    settings.path.mkdir()
    assert lifecycle.goodbye(settings, "stopped") == "stopped"
    (settings.path / lifecycle.LEAVING).touch()
    assert lifecycle.goodbye(settings, "stopped") == "uninstall"


def test_an_announced_uninstallation_is_the_last_word_however_the_agent_ends(settings):
    settings.path.mkdir()
    lifecycle.announce(settings)  # nothing runs: nobody has a last word
    assert lifecycle.goodbye(settings, "stopped") == "stopped"
    lock = PidFile(settings.pid_file)
    lifecycle.announce(settings)
    lock.release()
    assert lifecycle.goodbye(settings, "stopped") == "uninstall"
    lifecycle.withdraw(settings)
    assert lifecycle.goodbye(settings, "stopped") == "stopped"


def test_the_products_own_data_folder_goes_when_it_is_empty(settings, monkeypatch):
    monkeypatch.setattr(lifecycle, "DATA", settings.path.parent)
    settings.path.mkdir()
    other = settings.path.parent / "server"
    other.mkdir()
    lifecycle.uninstall(settings)
    assert other.exists()
    settings.path.mkdir()
    other.rmdir()
    for left in settings.path.parent.iterdir():
        if left != settings.path:
            left.unlink() if left.is_file() else left.rmdir()
    lifecycle.uninstall(settings)
    assert not settings.path.parent.exists()


def test_stop_ends_the_launcher_before_the_agent(settings):
    settings.path.mkdir()
    assert lifecycle.stop(settings)


def busy_for(count, gateway, authority, *, retry_after=7.0):
    """A gateway whose enrolment is busy `count` times, then refuses for good."""
    asked = []

    def answer(_body, _peer):
        asked.append(1)
        if len(asked) <= count:
            refusal = Refusal(code="later", message="slow down", retry_after=retry_after)
            return 429, msgspec.msgpack.encode(refusal)
        return 401, msgspec.msgpack.encode(Refusal(code="enrol", message="the token is used"))

    gateway.routes["GET", "/v1/ca"] = lambda _b, _p: (200, authority.pem)
    gateway.routes["POST", "/v1/enrol"] = answer
    return asked


def test_enroll_waits_as_long_as_it_is_told(settings, authority, gateway, token_for):
    asked = busy_for(5, gateway, authority)
    waits, lines = [], []
    with pytest.raises(GatewayRefused, match="the token is used"):
        lifecycle.enroll(
            "", token_for(gateway.url), settings, told=lines.append, sleep=waits.append
        )
    assert len(asked) == 6
    assert len(waits) == 5
    assert all(7.0 <= w <= lifecycle.LONGEST_WAIT_S for w in waits)
    assert len(set(waits)) == 5  # at random: not all machines at once
    assert "slow down; waiting" in lines[0]


def test_enroll_loses_patience(settings, authority, gateway, token_for):
    asked = busy_for(1000, gateway, authority, retry_after=40.0)
    waits = []
    with pytest.raises(Busy, match="slow down"):
        lifecycle.enroll("", token_for(gateway.url), settings, patience_s=300.0, sleep=waits.append)
    assert sum(waits) <= 300
    assert len(asked) == len(waits) + 1 > 4
    with pytest.raises(Busy):
        lifecycle.enroll("", token_for(gateway.url), settings, patience_s=0, sleep=waits.append)
    assert len(asked) == len(waits) + 2


def test_enroll_does_not_wait_for_an_address_that_never_answered(settings, token_for):
    with pytest.raises(Unreachable):
        lifecycle.enroll("", token_for("https://127.0.0.1:1"), settings, sleep=pytest.fail)
