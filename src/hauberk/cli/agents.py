"""Agents: list, enrolment tokens, revoke."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, size, when
from hauberk.schema.view import AgentView, EnrolmentInput, EnrolmentView

app = App(name="agents", help=__doc__)


@app.command(name="list")
def list_(
    *,
    filter: str | None = None,  # noqa: A002  # the API's own word
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """List agents with health, tier and cost."""
    found = list(Client(data, tenant=tenant).pages("/agents", AgentView, filter=filter))
    rows = [
        {
            "id": a.id,
            "host": a.hostname,
            "state": a.state,
            "version": a.version,
            "tier": a.sensor.tier if a.sensor else None,
            "lost": a.sensor.lost if a.sensor else None,
            "memory": size(a.resources.private_bytes if a.resources else None),
            "beat": when(a.last_beat_ms),
            "workload": a.workload,
        }
        for a in found
    ]
    heads = [
        ("id", "AGENT"),
        ("host", "HOST"),
        ("state", "STATE"),
        ("version", "VERSION"),
        ("tier", "TIER"),
        ("lost", "LOST"),
        ("memory", "PRIVATE"),
        ("beat", "LAST BEAT"),
        ("workload", "WORKLOAD"),
    ]
    _output.rows_out(rows, heads, output, raw=found)


@app.command
def token(
    *,
    note: str = "",
    hours: float = 24,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Make a one-time enrolment token and print the command for the new machine."""
    wish = EnrolmentInput(note=note, ttl_s=int(hours * 3600))
    made = Client(data, tenant=tenant).send("POST", "/enrolments", EnrolmentView, wish)
    if output == "table":
        print(made.command)
    else:
        _output.json_out(made)


@app.command
def revoke(agent: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Revoke an agent: its certificate is refused from now on."""
    Client(data, tenant=tenant).send("POST", f"/agents/{agent}/revoke", AgentView)
    print(f"agent {agent} is revoked")
