"""Stop what `hauberk up` started on this machine."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _data, _process

app = App(name="down", help=__doc__)


@app.default
def down(*, data: Path | None = None) -> None:
    """Stop agent and server; nothing that was acknowledged is lost.

    Args:
        data: data folder given to `up`.
    """
    folder = _data.data_dir(data)
    running = False
    for role in ("agent", "server"):
        pid = _data.pid_of(_data.pid_file(folder, role))
        if pid is None:
            continue
        running = True
        clean = _process.stop(pid)
        print(f"{role} stopped" if clean else f"{role} did not stop in time and was killed")
    if not running:
        print(f"nothing of {folder} is running")
