import os
import signal
import subprocess
import sys
import threading

import pytest

from hauberk.agent import process
from hauberk.errors import Conflict

HOLDER = """
import signal, sys
from pathlib import Path
from hauberk.agent.process import PidFile
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
PidFile(Path(sys.argv[1]))
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def holder(tmp_path):
    made = []

    def start(mood="polite"):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path / "agent.pid", mood],
            stdout=subprocess.PIPE,
            text=True,
        )
        made.append(child)
        assert child.stdout.readline() == "held\n"
        return child

    yield start
    for child in made:
        child.kill()
        child.wait()
        child.stdout.close()


def test_one_agent_per_folder(tmp_path, holder):
    path = tmp_path / "agent.pid"
    assert process.running(path) is None
    child = holder()
    assert process.running(path) == child.pid
    with pytest.raises(Conflict, match="another agent"):
        process.PidFile(path)
    child.kill()
    child.wait()
    assert process.running(path) is None
    lock = process.PidFile(path)
    assert path.read_text().split() == [str(os.getpid())]
    lock.release()
    assert process.running(path) is None
    assert path.read_text().split() == []


def test_stop_waits_until_it_let_go(tmp_path, holder):
    child = holder()
    assert process.stop(tmp_path / "agent.pid", signal.SIGTERM, timeout_s=20)
    assert child.wait() == -signal.SIGTERM
    assert process.stop(tmp_path / "agent.pid", signal.SIGTERM, timeout_s=0)


def test_stop_tells_when_it_did_not(tmp_path, holder):
    child = holder("deaf")
    assert not process.stop(tmp_path / "agent.pid", signal.SIGTERM, timeout_s=0.1)
    assert process.stop(tmp_path / "agent.pid", signal.SIGKILL, timeout_s=20)
    assert child.wait() == -signal.SIGKILL


def test_memory_and_boot():
    private, resident = process.memory()
    assert resident > 1_000_000
    assert 0 <= private <= 2 * resident
    assert len(process.boot_id()) == 36


def test_only_the_calling_thread_becomes_quiet():
    seen = {}

    def work():
        process.quiet_thread()
        thread = threading.get_native_id()
        seen["nice"] = os.getpriority(os.PRIO_PROCESS, thread)

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen["nice"] == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_memory_helpers_run_in_a_process_of_their_own():
    code = "from hauberk.agent import process as p; p.few_arenas(); p.give_back_memory()"
    subprocess.run([sys.executable, "-c", code], check=True)
