"""Write everything of this server to one file, while it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cyclopts import App

from hauberk.cli import _data
from hauberk.cli._output import size
from hauberk.host.clock import SystemClock
from hauberk.server import backup as server_backup
from hauberk.server import settings as server_settings

app = App(name="backup", help=__doc__)


@app.default
def backup(file: Path, *, data: Path | None = None, config: Path | None = None) -> None:
    """Write a backup: keys, users, assets, events, packages and what waits in the inbox.

    It holds the server's private keys: keep it as you keep them. `hauberk restore` reads it.

    Args:
        file: new file; only its owner can read it.
        data: data folder.
        config: TOML file with a [server] table, as the server has it.
    """
    options: dict[str, object] = {"data": _data.data_dir(data)}
    settings = server_settings.load(os.environ, options=options, config=config)
    done = server_backup.save(settings, file, SystemClock(), told)
    print(
        f"{file}: {size(file.stat().st_size)}, {done.events} events, {done.state_rows} rows of"
        f" state, {done.batches} batches not consumed yet, {done.blobs} blobs"
    )


def told(step: str) -> None:
    """Show what is under way, to a person only."""
    if sys.stderr.isatty():
        print(f"{step} ...", file=sys.stderr)
