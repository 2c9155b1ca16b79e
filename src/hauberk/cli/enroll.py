"""Join a server with a one-time token; an installed package is started as a service."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hauberk.agent import lifecycle_service as service
from hauberk.agent import settings as agent_settings
from hauberk.agent.lifecycle import PATIENCE_S
from hauberk.agent.lifecycle import enroll as join
from hauberk.agent.slots import locate
from hauberk.cli import _data

app = App(name="enroll", help=__doc__)


@app.default
def enroll(
    url: str = "",
    *,
    token: Annotated[str, Parameter(env_var="HAUBERK_ENROL_TOKEN")],
    data: Path | None = None,
    patience: float = PATIENCE_S,
) -> None:
    """Enrol this machine; a server that is busy is asked again when it says.

    Args:
        url: the server's agent address; the token's own when empty.
        token: made by `hauberk agents token` or in the console; HAUBERK_ENROL_TOKEN keeps it out of
            the process list.
        data: data folder; the identity goes below it into `agent/`.
        patience: seconds to go on while the server is busy; 0: one try.
    """
    settings = agent_settings.load({**_data.agent_env(_data.data_dir(data)), **os.environ})
    source = service.package()
    place = locate(source) if source else None
    root = place[0] if place else service.ROOT
    machine = service.Machine()
    if source is not None:
        service.check(root, machine, settings)
    ids = join(
        url, token, settings, patience_s=patience, told=lambda line: print(line, file=sys.stderr)
    )
    print(f"enrolled: agent {ids.agent}, workload {ids.workload}")
    if source is None:
        print("not an installed package; run: hauberk agent")
        return
    print(service.install(source, root, settings))
    print(service.activate(root, machine, settings))
