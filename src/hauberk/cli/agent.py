"""Run this machine's agent in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hauberk.agent import launcher, lifecycle, lifecycle_service, selftest
from hauberk.agent import main as agent_main
from hauberk.agent import settings as agent_settings
from hauberk.cli import _data
from hauberk.errors import NotFound

app = App(name="agent", help=__doc__)
NOT_RIGHT = 3


@app.default
def agent(
    *,
    data: Path | None = None,
    config: Path | None = None,
    supervise: bool = False,
    selftest_: Annotated[bool, Parameter(name="--selftest")] = False,
    install: Path | None = None,
    stop: bool = False,
) -> int:
    """Run until SIGTERM; enrol first with `hauberk enroll`.

    Args:
        data: data folder; the agent's state is below it in `agent/`.
        config: TOML file with an [agent] table.
        supervise: start the right slot of an installed package, and again whenever it ends; for
            machines without a service manager.
        selftest_: say what keeps this package from running here, change nothing.
        install: put this package into a slot below the folder (/opt/hauberk).
        stop: stop the agent of the data folder.
    """
    env = {**_data.agent_env(_data.data_dir(data)), **os.environ}
    settings = agent_settings.load(env, config=config)
    if selftest_:
        wrong = selftest.run(settings)
        print("\n".join(wrong) or "this package runs here")
        return NOT_RIGHT if wrong else 0
    if install is not None:
        source = lifecycle_service.package()
        if source is None:
            raise NotFound(f"{sys.prefix}: not an agent package; `make agent-bundle` builds one")
        print(lifecycle_service.install(source, install.absolute(), settings))
        return 0
    if stop:
        return 0 if lifecycle.stop(settings) else NOT_RIGHT
    if supervise:
        return launcher.launch(settings, env, supervise=True)
    return agent_main.run(settings)
