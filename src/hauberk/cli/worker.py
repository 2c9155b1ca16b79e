"""Run a worker: it consumes the inbox beside the servers and listens on no port."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hauberk.cli import _data
from hauberk.server import settings as server_settings
from hauberk.server import worker as server_worker

app = App(name="worker", help=__doc__)


@app.default
def worker(
    *,
    data: Path | None = None,
    metrics: str | None = None,
    config: Path | None = None,
) -> int:
    """Run until SIGTERM, with the settings of the servers: `inbox` and `database` above all.

    Args:
        data: data folder, shared with the servers unless the lake and the blobs are elsewhere.
        metrics: ADDRESS:PORT that shows figures to Prometheus.
        config: TOML file with a [server] table.
    """
    options: dict[str, object] = {"data": _data.data_dir(data), "metrics": metrics}
    settings = server_settings.load(os.environ, options=options, config=config)
    return server_worker.run(settings)
