from hauberk.agent import lifecycle_service
from hauberk.agent.process import PidFile
from hauberk.errors import HostError


def test_removes_what_the_agent_kept_and_nothing_else(run, tmp_path):
    agent = tmp_path / "agent"
    (agent / "identity").mkdir(parents=True)
    (agent / "spool").mkdir()
    (agent / "notes.txt").write_text("mine")
    done = run("uninstall", "--data", str(tmp_path))
    assert done.code == 0
    assert "identity" in done.out
    assert [p.name for p in agent.iterdir()] == ["notes.txt"]


def test_nothing_there(run, tmp_path):
    assert "there was no agent" in run("uninstall", "--data", str(tmp_path)).out


def test_the_service_is_stopped_as_an_uninstallation(run, tmp_path, monkeypatch):
    """systemd stops it first, and the server must not take that for an ordinary stop."""
    (tmp_path / "agent").mkdir()
    lock = PidFile(tmp_path / "agent/agent.pid")
    said = []

    def stop(_machine):
        said.append((tmp_path / "agent/leaving").exists())
        if len(said) == 1:
            raise HostError("systemctl: no")
        lock.release()

    monkeypatch.setattr(lifecycle_service, "stop_service", stop)
    assert run("uninstall", "--data", str(tmp_path)).code != 0
    assert not (tmp_path / "agent/leaving").exists()
    assert run("uninstall", "--data", str(tmp_path)).code == 0
    assert said == [True, True]
