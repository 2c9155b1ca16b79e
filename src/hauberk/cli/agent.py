"""Run this machine's agent in the foreground."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hauberk.agent import main as agent_main
from hauberk.agent import settings as agent_settings
from hauberk.cli import _data

app = App(name="agent", help=__doc__)


@app.default
def agent(*, data: Path | None = None, config: Path | None = None) -> int:
    """Run until SIGTERM; enrol first with `hauberk enroll`.

    Args:
        data: data folder; the agent's state is below it in `agent/`.
        config: TOML file with an [agent] table.
    """
    env = {**_data.agent_env(_data.data_dir(data)), **os.environ}
    return agent_main.run(agent_settings.load(env, config=config))
