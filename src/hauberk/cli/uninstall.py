"""Remove this machine's agent: stop it, forget its identity, spool and state, and the program."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hauberk.agent import lifecycle_service as service
from hauberk.agent import settings as agent_settings
from hauberk.agent.lifecycle import announce, withdraw
from hauberk.agent.lifecycle import uninstall as remove
from hauberk.cli import _data
from hauberk.errors import HostError

app = App(name="uninstall", help=__doc__)


@app.default
def uninstall(*, data: Path | None = None) -> None:
    """Remove the agent of the data folder; revoke it in the console as well.

    Args:
        data: data folder of the agent.
    """
    settings = agent_settings.load({**_data.agent_env(_data.data_dir(data)), **os.environ})
    machine = service.Machine()
    announce(settings)
    try:
        service.stop_service(machine)
    except HostError:
        withdraw(settings)
        raise
    removed = [*remove(settings), *service.remove_program(machine)]
    print(f"{settings.folder}: removed {', '.join(removed) or 'nothing, there was no agent'}")
