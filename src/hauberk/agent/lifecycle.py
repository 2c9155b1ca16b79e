"""Joining and leaving: what the command line calls outside of a running agent."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import hauberk
from hauberk.agent import cgroup, process
from hauberk.agent.settings import AgentSettings
from hauberk.errors import Conflict
from hauberk.host.facts import workload_facts
from hauberk.host.live import LiveHost
from hauberk.link.client.enrol import enrol
from hauberk.link.client.files import private_folder
from hauberk.link.client.identity import Ids

STOP_S = 15.0
KILL_S = 5.0
DATA = Path("/var/lib/hauberk")  # ours alone: removed when nothing is left in it
LEAVING = "leaving"
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
)


def enroll(url: str, token: str, settings: AgentSettings) -> Ids:
    """Join a server with a one-time token; a running agent that was refused picks it up.

    Args:
        url: gateway address; empty: the token's.
        token: as the operator copied it.
        settings: whose `folder` takes the identity.

    Raises:
        BadWire, Refused, Unreachable, Busy: as `link.client.enrol.enrol`.
    """
    private_folder(settings.path)
    identity = enrol(
        settings.identity,
        token,
        url=url,
        facts=workload_facts(LiveHost()),
        version=hauberk.__version__,
        site=settings.site,
        timeout_s=settings.timeout_s,
    )
    return identity.ids


def uninstall(settings: AgentSettings) -> list[str]:
    """Stop the agent of this folder and remove what it kept there; other files stay.

    Returns:
        Names that were removed.

    Raises:
        Conflict: the agent does not stop.
    """
    leaving = settings.path / LEAVING
    if process.running(settings.pid_file) is not None:
        leaving.touch(0o600)  # the agent's last word to the server is this
    stopped = stop(settings)
    leaving.unlink(missing_ok=True)
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
            folder.rmdir()
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
