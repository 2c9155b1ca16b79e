"""Starts the agent of the right slot.

It runs from the confirmed slot, so that a new package has no say in whether it is given up: starts
on trial are counted here, and ended here when it is time.

A confirmed slot is simply executed in place of this process. On trial, and with `--supervise`
(where no service manager restarts the agent), this process stays as the parent.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hauberk.agent import process
from hauberk.agent import settings as agent_settings
from hauberk.agent.settings import AgentSettings
from hauberk.agent.slots import Slot, Slots, Start, locate
from hauberk.agent.updater_thread import LAUNCHED
from hauberk.errors import HauberkError, NotFound
from hauberk.link.client.files import private_folder

STOP_S = 20.0
POLL_S = 1.0
CALM_S = 60.0
LONGEST_PAUSE_S = 60.0
INCOMPLETE = 3
_STOPS = (signal.SIGTERM, signal.SIGINT)
_HEARD = {signal.SIGCHLD, *_STOPS}
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger(__name__)


class Launcher:
    """One installation's starts. Needs the main thread: it waits for signals."""

    def __init__(
        self,
        slots: Slots,
        command: Callable[[Slot], Sequence[str]],
        env: Mapping[str, str],
        *,
        trial_s: float,
        supervise: bool,
        own: Slot | None = None,
        execute: Callable[[str, list[str], dict[str, str]], object] = os.execve,
    ) -> None:
        """Nothing is started before `run`.

        Args:
            slots: the installation.
            command: what runs the agent of a slot.
            env: its environment.
            trial_s: seconds that a start on trial has until it is confirmed.
            supervise: restart what ends, until a signal asks to stop.
            own: the slot that this launcher runs from; it makes way for the confirmed one's, since
                the next update empties its folder.
            execute: replaces this process.
        """
        self._slots, self._command, self._env = slots, command, dict(env)
        self._trial_s, self._supervise, self._execute = trial_s, supervise, execute
        self._own = own
        self._stop = False

    def run(self) -> int:
        """Until the agent ends for good; its exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            return self._run()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)

    def _run(self) -> int:
        pause, ended = 1.0, ""
        while True:
            start = self._decide(ended)
            argv = list(self._command(start.slot))
            if not start.trial and not self._supervise:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
                self._execute(argv[0], argv, self._env)
                return INCOMPLETE  # only where `execute` is not the real one
            began = time.monotonic()
            code = self._watch(start, argv)
            ended = f"it ended with status {code}"
            if self._stop:
                return code
            self._slots.reload()
            if not self._supervise and self._slots.state.confirmed == start.slot:
                return code  # the service manager starts this launcher again
            if time.monotonic() - began > CALM_S:
                pause = 1.0
            _log.warning("slot %s: %s; next start in %.0f s", start.slot, ended, pause)
            if self._heard(pause) in _STOPS:
                return code
            self._make_way()
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _make_way(self) -> None:
        confirmed = self._slots.state.confirmed
        if not self._supervise or self._own is None or confirmed == self._own:
            return
        argv = [str(self._slots.place(confirmed) / "bin/hauberk-launch"), "--supervise"]
        _log.info("the launcher of slot %s takes over", confirmed)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        try:
            self._execute(argv[0], argv, self._env)
        except OSError as error:
            _log.error("%s: %s", argv[0], error)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)

    def _decide(self, ended: str) -> Start:
        try:
            self._slots.reload()
            start = self._slots.start(ended)
        except OSError as error:
            # A start that cannot be counted must not happen: what is proven runs.
            _log.error("the state of the slots cannot be kept: %s", error)
            return Start(self._slots.state.confirmed, trial=False)
        if start.trial:
            _log.info("slot %s starts on trial", start.slot)
        return start

    def _watch(self, start: Start, argv: list[str]) -> int:
        """Start the agent and wait for its end; on trial at most until the deadline."""
        try:
            child = subprocess.Popen(argv, env=self._env, preexec_fn=_in_child)  # noqa: PLW1509
        except (OSError, subprocess.SubprocessError) as error:
            _log.error("%s: %s", argv[0], error)
            return 127
        proving = start.trial
        deadline = time.monotonic() + self._trial_s
        while child.poll() is None:
            if self._heard(POLL_S if proving else None) in _STOPS:
                self._stop = True
                code = _end(child)
                if start.trial:
                    self._slots.reload()
                    self._slots.take_back_start()
                return code
            if not proving:
                continue
            self._slots.reload()
            if self._slots.state.trial is None:
                proving = False
            elif time.monotonic() > deadline and child.poll() is None:
                _end(child)
                self._slots.reload()
                if self._slots.state.trial is not None:
                    self._slots.roll_back(
                        f"not confirmed within {self._trial_s:.0f} s: it never reached the server "
                        "or did not stay up"
                    )
        return child.returncode

    def _heard(self, timeout_s: float | None) -> signal.Signals | None:
        if timeout_s is None:
            return signal.Signals(signal.sigwaitinfo(_HEARD).si_signo)
        info = signal.sigtimedwait(_HEARD, timeout_s)
        return signal.Signals(info.si_signo) if info else None


def _in_child() -> None:
    """The agent must hear signals, and must not outlive a launcher that was killed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(child: subprocess.Popen[bytes]) -> int:
    child.terminate()
    try:
        return child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def agent_command(root: Path) -> Callable[[Slot], list[str]]:
    """What runs a slot's agent."""

    def command(slot: Slot) -> list[str]:
        return [str(root / "slots" / slot / "bin/python"), "-m", "hauberk.agent.main"]

    return command


def launch(settings: AgentSettings, env: Mapping[str, str], *, supervise: bool) -> int:
    """Run the agent of this installation.

    Raises:
        NotFound: this interpreter runs from no package.
    """
    place = locate(Path(sys.prefix))
    if place is None:
        raise NotFound(f"{sys.prefix}: not in a slot of an agent package; run: hauberk agent")
    private_folder(settings.path)
    lock = process.PidFile(settings.path / "launcher.pid")
    slots = Slots(place[0], settings.path / "slots.json")
    launcher = Launcher(
        slots,
        agent_command(place[0]),
        {**env, "HAUBERK_AGENT_FOLDER": settings.folder, LAUNCHED: str(os.getpid())},
        trial_s=settings.confirm_s,
        supervise=supervise,
        own=place[1],
    )
    try:
        return launcher.run()
    finally:
        lock.release()


def main(arguments: Sequence[str]) -> int:
    """`hauberk-launch [--supervise] [--data DIR] [--config FILE]`."""
    parser = argparse.ArgumentParser(prog="hauberk-launch", description=__doc__)
    parser.add_argument("--supervise", action="store_true", help="restart the agent when it ends")
    parser.add_argument("--data", type=Path, help="data folder; the agent's is agent/ below it")
    parser.add_argument("--config", type=Path, help="TOML file with an [agent] table")
    options = parser.parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    env = dict(os.environ)
    if options.data:
        env["HAUBERK_AGENT_FOLDER"] = str(options.data.absolute() / "agent")
    if options.config:
        env[agent_settings.CONFIG_VARIABLE] = str(options.config.absolute())
    try:
        return launch(agent_settings.load(env), env, supervise=options.supervise)
    except HauberkError as error:
        sys.stderr.write(f"hauberk-launch: {error}\n")
        return INCOMPLETE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
