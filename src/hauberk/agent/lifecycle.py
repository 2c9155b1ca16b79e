"""Joining and leaving: what the command line calls outside of a running agent."""

from __future__ import annotations

import logging
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

import hauberk
from hauberk.agent import cgroup, process
from hauberk.agent.settings import AgentSettings
from hauberk.errors import Busy, Conflict, Temporary, Unreachable
from hauberk.host.facts import workload_facts
from hauberk.host.live import LiveHost
from hauberk.link.client.enrol import enrol
from hauberk.link.client.files import private_folder, write_atomic
from hauberk.link.client.identity import Ids
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.link import Beat

STOP_S = 15.0
KILL_S = 5.0
DATA = Path("/var/lib/hauberk")  # ours alone: removed when nothing is left in it
# Thousands of machines behind one address share the few enrolments per second it has.
PATIENCE_S = 3600.0
LONGEST_WAIT_S = 60.0
LEAVING = "leaving"
GOODBYE = "goodbye"
LAUNCHER = "launcher.pid"
_FOLDERS = ("identity", "spool", "refused", "package")
_FILES = (
    "desired",
    "tasks.json",
    "agent.pid",
    "slots.json",
    LAUNCHER,
    "grant.json",
    "cgroup.json",
    GOODBYE,
)
_log = logging.getLogger(__name__)


def enroll(
    url: str,
    token: str,
    settings: AgentSettings,
    *,
    patience_s: float = PATIENCE_S,
    told: Callable[[str], None] = lambda _line: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Ids:
    """Join a server with a one-time token; a running agent that was refused picks it up.

    Args:
        url: gateway address; empty: the token's.
        token: as the operator copied it.
        settings: whose `folder` takes the identity.
        patience_s: seconds to go on once the server has said that it is busy.
        told: called with a line before each wait.
        sleep: waits so many seconds.

    Raises:
        BadWire, Refused, Unreachable, Busy: as `link.client.enrol.enrol`.
    """
    private_folder(settings.path)
    facts = workload_facts(LiveHost())
    waited, tries, answered = 0.0, 0, False
    while True:
        try:
            return enrol(
                settings.identity,
                token,
                url=url,
                facts=facts,
                version=hauberk.__version__,
                site=settings.site,
                timeout_s=settings.timeout_s,
            ).ids
        except (Busy, Unreachable) as error:
            answered = answered or isinstance(error, Busy)
            tries += 1
            wait = _wait(error, tries)
            if not answered or waited + wait > patience_s:
                raise
            told(f"{error}; waiting {wait:.0f} s, then trying again")
        sleep(wait)
        waited += wait


def _wait(error: Temporary, tries: int) -> float:
    """What the server told, and longer and at random: else all the others come back with us."""
    longest = min(LONGEST_WAIT_S, error.retry_after * 2.0 ** min(tries, 6))
    return error.retry_after + random.random() * max(0.0, longest - error.retry_after)  # noqa: S311


def announce(settings: AgentSettings) -> None:
    """Let the last word of a running agent to the server be that it is uninstalled."""
    if process.running(settings.pid_file) is not None:
        (settings.path / LEAVING).touch(0o600)


def withdraw(settings: AgentSettings) -> None:
    """It stays after all."""
    (settings.path / LEAVING).unlink(missing_ok=True)


def uninstall(settings: AgentSettings) -> list[str]:
    """Stop the agent of this folder and remove what it kept there; other files stay.

    Returns:
        Names that were removed.

    Raises:
        Conflict: the agent does not stop.
    """
    announce(settings)
    stopped = stop(settings)
    withdraw(settings)
    if not stopped:
        raise Conflict(f"{settings.pid_file}: the agent does not stop; nothing was removed")
    removed = cgroup.remove_left(settings.path)
    for name in _FOLDERS:
        place = settings.path / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
            removed.append(name)
    for name in _FILES:
        place = settings.path / name
        if place.exists():
            place.unlink()
            removed.append(name)
    folders = [settings.path]
    if settings.path.parent == DATA:
        folders.append(DATA)
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            try:
                folder.rmdir()
            except OSError as error:  # a mount point, say: empty is all that it can be
                _log.warning("%s stays, empty: %s", folder, error.strerror)
    return removed


def stop(settings: AgentSettings) -> bool:
    """Stop the agent of this folder, and first the launcher that would start it again."""
    return all(
        process.stop(pid_file, signal.SIGTERM, timeout_s=STOP_S)
        or process.stop(pid_file, signal.SIGKILL, timeout_s=KILL_S)
        for pid_file in (settings.path / LAUNCHER, settings.pid_file)
    )


def goodbye(settings: AgentSettings, why: str) -> str:
    """What the last beat says: `why`, or that the agent is being uninstalled."""
    return "uninstall" if (settings.path / LEAVING).exists() else why


def keep_goodbye(settings: AgentSettings, beat: Beat) -> None:
    """Keep the last beat until the server has it: else it takes an ordered end for a kill."""
    try:
        write_atomic(settings.path / GOODBYE, msgspec.msgpack.encode(beat))
    except OSError as error:
        _log.warning("goodbye is not kept: %s", error)


def kept_goodbye(settings: AgentSettings, boot: str) -> Beat | None:
    """What the agent before this one could not say, in this boot."""
    path = settings.path / GOODBYE
    try:
        beat = msgspec.msgpack.decode(path.read_bytes(), type=Beat)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        _log.warning("%s: %s", path, error)
        return None
    return beat if beat.boot == boot else None


def goodbye_said(settings: AgentSettings) -> None:
    """The server has it."""
    (settings.path / GOODBYE).unlink(missing_ok=True)
