"""Starting and stopping the roles as background processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hauberk.errors import Permanent

_POLL_S = 0.1


def start(
    role: str, argv: list[str], *, log: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `hauberk ROLE ARGV` in a session of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "hauberk.cli.main", role, *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **env},
            cwd="/",
        )


def wait(
    done: Callable[[], bool],
    process: subprocess.Popen[bytes],
    *,
    log: Path,
    role: str,
    timeout_s: float,
) -> None:
    """Wait until `done`.

    Raises:
        Permanent: the process ended or the time is over; quotes the log's end.
    """
    deadline = time.monotonic() + timeout_s
    while not done():
        if process.poll() is not None:
            raise Permanent(f"the {role} ended with status {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            process.terminate()
            raise Permanent(f"the {role} is not ready after {timeout_s:.0f} s:\n{tail(log)}")
        time.sleep(_POLL_S)


def stop(pid: int, *, timeout_s: float = 30) -> bool:
    """SIGTERM, then SIGKILL after `timeout_s`; False when it had to be killed."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(_POLL_S)
    return True


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
