"""Batches that no consumer could use: set aside with their reason, the rest went on."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, when
from hauberk.schema.view_fleet import PoisonView

app = App(name="poison", help=__doc__)
_HEADS = [
    ("at", "AT"),
    ("consumer", "CONSUMER"),
    ("table", "TABLE"),
    ("agent", "AGENT"),
    ("sequence", "BATCH"),
    ("reason", "REASON"),
]


@app.command(name="list")
def list_(*, output: Output = "table", data: Path | None = None, tenant: str | None = None) -> None:
    """List what was set aside of a tenant, newest first: at most the newest 200."""
    found = Client(data, tenant=tenant).get("/poison", list[PoisonView])
    rows = [msgspec.structs.asdict(one) | {"at": when(one.at_ms)} for one in found]
    _output.rows_out(rows, _HEADS, output, raw=found, empty="nothing was set aside")
