"""Where things are: the data folder, its files, and whether a process of ours runs."""

from __future__ import annotations

import os
from pathlib import Path


def data_dir(option: Path | None) -> Path:
    """`--data`, else HAUBERK_DATA, else /var/lib/hauberk as root, else the user's share folder."""
    if option is not None:
        return option.absolute()
    if env := os.environ.get("HAUBERK_DATA"):
        return Path(env).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/hauberk")
    share = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(share) / "hauberk"


def socket_path(data: Path) -> Path:
    """The server's local socket."""
    return data / "server/run/api.sock"


def agent_env(data: Path) -> dict[str, str]:
    """The agent's settings that follow from the data folder."""
    return {"HAUBERK_AGENT_FOLDER": str(data / "agent")}


def pid_file(data: Path, role: str) -> Path:
    """Where the agent or the server writes its pid."""
    return data / ("agent/agent.pid" if role == "agent" else "server/run/server.pid")


def log_file(data: Path, role: str) -> Path:
    """Where `up` keeps a role's output."""
    return data / f"log/{role}.log"


def pid_of(pidfile: Path) -> int | None:
    """The process that a pid file names, when it is alive and one of ours."""
    try:
        pid = int(pidfile.read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return pid if b"hauberk" in command else None
