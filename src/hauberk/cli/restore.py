"""Fill a new server from a backup."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hauberk.cli import _data
from hauberk.cli._output import when
from hauberk.cli.backup import told
from hauberk.errors import Conflict
from hauberk.host.clock import SystemClock
from hauberk.server import restore as server_restore
from hauberk.server import settings as server_settings

app = App(name="restore", help=__doc__)


@app.default
def restore(file: Path, *, data: Path | None = None, config: Path | None = None) -> None:
    """Restore into empty stores; then start the server. The kind of stores may be another one.

    Args:
        file: from `hauberk backup`.
        data: data folder without a server's state.
        config: TOML file with a [server] table: where the stores shall be.
    """
    folder = _data.data_dir(data)
    if pid := _data.pid_of(_data.pid_file(folder, "server")):
        raise Conflict(f"a server runs on {folder} (process {pid}): stop it first")
    options: dict[str, object] = {"data": folder}
    settings = server_settings.load(os.environ, options=options, config=config)
    done = server_restore.restore(settings, file, SystemClock(), told)
    print(
        f"restored the backup of {done.manifest.host} from {when(done.manifest.at_ms)}:"
        f" {done.moved.events} events, {done.moved.state_rows} rows of state,"
        f" {done.moved.batches} batches consumed, {done.moved.blobs} blobs"
    )
    print("start it: hauberk up (or the units). Agents that renewed their certificate since")
    print("the backup must enrol anew; `hauberk agents list` shows who is late.")
