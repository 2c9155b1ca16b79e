import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import packagekit as kit
import pytest

from hauberk.agent import launcher as module
from hauberk.agent.launcher import Launcher, agent_command, main
from hauberk.agent.slots import SlotInfo, Slots

NEW = SlotInfo(version="2", sequence=2, sha256="f" * 64)
CRASH = "raise SystemExit(7)"
SLEEP = "import time; time.sleep(600)"
# What a healthy new agent does: confirm its own slot, then go on.
HEALTHY = """
import sys, time
from pathlib import Path
from hauberk.agent.slots import Slots
Slots(Path(sys.argv[1]), Path(sys.argv[2])).confirm()
raise SystemExit(5)
"""


class Executed(Exception):
    """Stands for the process that was replaced."""


@pytest.fixture
def place(tmp_path):
    kit.put_slot(tmp_path / "opt")
    return tmp_path


@pytest.fixture
def made(place, monkeypatch):
    """A launcher whose slots run Python code; on trial unless told otherwise."""
    monkeypatch.setattr(module, "POLL_S", 0.05)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.05)

    def make(code, *, trial=True, trial_s=30.0, supervise=False, own=None, execute=None):
        slots = Slots(place / "opt", place / "state/slots.json")
        if trial:
            kit.put_slot(place / "opt", "fresh", "2", 2)
            (place / "opt/slots/fresh").rename(place / "opt/slots/.b.new")
            slots.fill_spare(place / "opt/slots/.b.new")
            slots.begin(NEW, wanted=NEW.sha256, desired=1)
        ran = []

        def command(slot):
            ran.append(slot)
            body = code if slot == "b" or not trial else SLEEP
            return [sys.executable, "-c", body, str(place / "opt"), str(place / "state/slots.json")]

        def replace(_path, _argv, _env):
            raise Executed

        made = Launcher(
            slots,
            command,
            os.environ,
            trial_s=trial_s,
            supervise=supervise,
            own=own,
            execute=execute or replace,
        )
        return made, slots, ran

    return make


def test_a_proven_slot_replaces_the_launcher(made):
    launcher, _, ran = made(SLEEP, trial=False)
    with pytest.raises(Executed):
        launcher.run()
    assert ran == ["a"]


def test_a_crash_loop_goes_back_and_runs_the_old_slot(made, monkeypatch):
    pauses = []
    launcher, slots, ran = made(CRASH)
    heard = launcher._heard

    def quick(timeout_s):
        if timeout_s is not None and timeout_s >= 1.0:
            pauses.append(timeout_s)
            return None
        return heard(timeout_s)

    monkeypatch.setattr(launcher, "_heard", quick)
    with pytest.raises(Executed):
        launcher.run()
    assert ran == ["b", "b", "b", "a"]
    slots.reload()
    assert slots.state.outcome == "rolled_back"
    assert "started 3 times" in slots.state.message
    assert "status 7" in slots.state.message
    assert pauses


def test_one_that_hangs_is_ended_and_given_up(made, monkeypatch):
    launcher, slots, ran = made(SLEEP, trial_s=0.3)
    monkeypatch.setattr(launcher, "_heard", lambda _s: time.sleep(0.05))
    with pytest.raises(Executed):
        launcher.run()
    assert ran == ["b", "a"]
    slots.reload()
    assert slots.state.outcome == "rolled_back"
    assert "never reached the server" in slots.state.message


def test_one_that_ignores_sigterm_is_killed(made, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.3)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
    launcher, _, ran = made(code, trial_s=1.0)
    monkeypatch.setattr(launcher, "_heard", lambda _s: time.sleep(0.05))
    with pytest.raises(Executed):
        launcher.run()
    assert ran == ["b", "a"]


def test_a_confirmed_one_is_left_to_the_service_manager_when_it_ends(made):
    launcher, slots, ran = made(HEALTHY)
    assert launcher.run() == 5
    slots.reload()
    assert (slots.state.confirmed, slots.state.outcome) == ("b", "current")
    assert ran == ["b"]


def test_sigterm_is_passed_on_and_the_start_does_not_count(made):
    launcher, slots, _ = made(SLEEP)
    timer = threading.Timer(
        0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)
    )
    timer.start()
    assert launcher.run() == -signal.SIGTERM
    timer.join()
    slots.reload()
    assert (slots.state.trial, slots.state.tries) == ("b", 0)


def test_supervised_the_launcher_of_a_new_proven_slot_takes_over(made):
    """The next update empties the folder that the old one runs from."""
    asked = []

    def replace(path, argv, _env):
        asked.append(argv)
        if len(asked) == 1:
            raise OSError(2, "No such file", path)  # then the old one goes on
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM}
        raise Executed

    launcher, slots, ran = made(HEALTHY, supervise=True, own="a", execute=replace)
    with pytest.raises(Executed):
        launcher.run()
    assert slots.state.confirmed == "b"
    assert ran == ["b", "b"]
    assert asked == [[str(slots.place("b") / "bin/hauberk-launch"), "--supervise"]] * 2


def test_supervised_it_is_started_again_until_asked_to_stop(made):
    launcher, _, ran = made(CRASH, trial=False, supervise=True)
    timer = threading.Timer(
        2.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)
    )
    timer.start()
    assert launcher.run() in (7, -signal.SIGTERM)
    timer.join()
    assert len(ran) >= 2


def test_a_start_that_cannot_be_counted_runs_what_is_proven(made, monkeypatch):
    launcher, _, ran = made(CRASH)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hauberk.agent.slots.write_atomic", full)
    with pytest.raises(Executed):
        launcher.run()
    assert ran == ["a"]


def test_the_agent_does_not_outlive_a_killed_launcher(place):
    """The child gets SIGTERM when its launcher is killed with -9."""
    code = f"""
import os, sys
from pathlib import Path
from hauberk.agent.launcher import Launcher
from hauberk.agent.slots import Slots
child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
slots = Slots(Path({str(place / "opt")!r}), Path({str(place / "state/slots.json")!r}))
Launcher(slots, lambda _s: [sys.executable, "-c", child], os.environ, trial_s=60,
         supervise=True).run()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it still runs")


def test_the_command_of_a_slot(place):
    argv = agent_command(place)("b")
    assert argv == [f"{place}/slots/b/bin/python", "-m", "hauberk.agent.main"]


def test_outside_of_a_package_it_says_so(capsys, tmp_path):
    assert main(["--data", str(tmp_path)]) == 3
    assert "not in a slot" in capsys.readouterr().err
