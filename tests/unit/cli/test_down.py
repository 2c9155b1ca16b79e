import os
import subprocess
import sys
from pathlib import Path


def test_nothing_runs(run):
    assert "nothing of" in run("down").out


def test_stops_the_process_of_the_pid_file_and_no_other(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HAUBERK_DATA", str(tmp_path))
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen([*sleeper, "hauberk"])
    other = subprocess.Popen(sleeper)
    try:
        for folder, pid in (("server/run/server.pid", ours.pid), ("agent/agent.pid", other.pid)):
            path = tmp_path / folder
            path.parent.mkdir(parents=True)
            path.write_text(f"{pid}\n")
        done = run("down")
        assert "server stopped" in done.out
        assert "agent" not in done.out
        assert ours.wait(10) == -15
        assert other.poll() is None
        assert Path(f"/proc/{other.pid}").exists()
    finally:
        for process in (ours, other):
            if process.poll() is None:
                process.kill()
            process.wait()
    assert os.getpid()
