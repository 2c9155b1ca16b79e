"""Tenants: list, add (operators only)."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, when
from hauberk.schema.view import TenantInput, TenantView

app = App(name="tenants", help=__doc__)


@app.command(name="list")
def list_(*, output: Output = "table", data: Path | None = None) -> None:
    """List the tenants of this server."""
    tenants = Client(data).get("/tenants", list[TenantView])
    rows = [
        {"id": t.id, "title": t.title, "agents": t.agents, "made": when(t.created_ms)}
        for t in tenants
    ]
    heads = [("id", "TENANT"), ("title", "TITLE"), ("agents", "AGENTS"), ("made", "CREATED")]
    _output.rows_out(rows, heads, output, raw=tenants)


@app.command
def add(name: str, *, title: str = "", data: Path | None = None) -> None:
    """Add a tenant; its admin's password is printed once."""
    made = Client(data).send(
        "POST", "/tenants", TenantView, TenantInput(id=name, title=title or name)
    )
    print(f"tenant {made.id}: sign in as admin@{made.id}, password: {made.admin_password}")
