"""Run the server (console, API, gateway, stores) in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cyclopts import App

from hauberk.cli import _data
from hauberk.host.clock import SystemClock
from hauberk.server import main as server_main
from hauberk.server import settings as server_settings
from hauberk.server.stores import Stores
from hauberk.store.access import ensure_admin

app = App(name="server", help=__doc__)


@app.default
def server(
    *,
    data: Path | None = None,
    listen: str | None = None,
    gateway: str | None = None,
    config: Path | None = None,
) -> int:
    """Run until SIGTERM. Every setting is also a HAUBERK_* variable or a line of a TOML file.

    Args:
        data: data folder; the server's state is below it in `server/`.
        listen: ADDRESS:PORT of console and API.
        gateway: ADDRESS:PORT for agents.
        config: TOML file with a [server] table.
    """
    options: dict[str, object] = {
        "data": _data.data_dir(data),
        "listen": listen,
        "gateway": gateway,
    }
    settings = server_settings.load(os.environ, options=options, config=config)
    return server_main.run(settings, first_admin=_first_admin)


def _first_admin(stores: Stores) -> None:
    # A log is no place for a password: only a person at a terminal gets it here.
    if not sys.stdout.isatty():
        return
    if password := ensure_admin(stores.engine, SystemClock()):
        print(f"sign in as admin, password: {password}   (shown this once; `hauberk users reset`)")
