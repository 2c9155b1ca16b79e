"""The agent's settings: HAUBERK_AGENT_* variables over the `[agent]` table of one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hauberk.errors import BadInput

PREFIX = "HAUBERK_AGENT_"
CONFIG_VARIABLE = "HAUBERK_CONFIG"
DEFAULT_CONFIG = Path("/etc/hauberk/hauberk.toml")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field is `HAUBERK_AGENT_<NAME>` or `agent.<name>` in the TOML file.

    `folder` holds identity, spool and state. `self_pids`: processes besides the agent whose
    activity is labelled `self` (the server's, when it runs on the same machine). A new package has
    `confirm_s` seconds to reach the server and stay up for `steady_s`, or it is given up.
    """

    folder: str = "/var/lib/hauberk/agent"
    site: str = ""
    beat_s: float = 5.0
    flush_s: float = 0.4
    timeout_s: float = 30.0
    relation_s: float = 60.0
    confirm_s: float = 600.0
    steady_s: float = 60.0
    sensor: bool = True
    self_pids: list[int] = []
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def path(self) -> Path:
        """The state folder."""
        return Path(self.folder)

    @property
    def identity(self) -> Path:
        """Folder of the identity."""
        return self.path / "identity"

    @property
    def pid_file(self) -> Path:
        """Holds the pid of the running agent, locked by it."""
        return self.path / "agent.pid"


def load(env: Mapping[str, str], *, config: Path | None = None) -> AgentSettings:
    """Read the settings.

    Args:
        env: the environment.
        config: TOML file; None: HAUBERK_CONFIG, else /etc/hauberk/hauberk.toml if it exists.

    Raises:
        BadInput: names the file or variable and what is wrong with it.
    """
    path = config or Path(env.get(CONFIG_VARIABLE, "") or DEFAULT_CONFIG)
    values: dict[str, Any] = {}
    if config is not None or CONFIG_VARIABLE in env or path.exists():
        values.update(_table(path))
    names = {n: str(n) for n in AgentSettings.__struct_fields__}
    for name in names:
        text = env.get(PREFIX + name.upper())
        if text is None:
            continue
        values[name] = text.split(",") if name == "self_pids" and text else text or []
        try:
            # Text of a variable is read as the field's own type ("5", "true", "1,2").
            msgspec.convert({name: values[name]}, AgentSettings, strict=False)
        except msgspec.ValidationError as error:
            raise BadInput(str(error), source=PREFIX + name.upper()) from error
    try:
        return msgspec.convert(values, AgentSettings, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(f"[agent] {error}", source=str(path)) from error


def _table(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot be read: {error}", source=str(path)) from error
    table = document.get("agent", {})
    if not isinstance(table, dict):
        raise BadInput("[agent] is not a table", source=str(path))
    return dict(table)
