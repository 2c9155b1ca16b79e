"""The ledger: what each capability or machine spent, against what was granted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, size
from hauberk.errors import BadInput
from hauberk.schema.link import BudgetState, LedgerEntry
from hauberk.schema.view import AgentView, WorkloadDetail
from hauberk.schema.view_fleet import LedgerRow

app = App(name="budget", help=__doc__)
HEADS = [
    ("runs", "RUNS"),
    ("rows", "ROWS"),
    ("cpu", "CPU S"),
    ("core", "% OF A CORE"),
    ("out", "SENT"),
    ("shed", "SHED"),
]


@app.default
def budget(
    *,
    workload: str | None = None,
    by: Literal["capability", "workload"] = "capability",
    hours: float = 1.0,
    filter_: str = "",
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Show what the fleet spent, or one machine's ledger of the last hour and its grants.

    Args:
        workload: id; without it the whole fleet is shown.
        by: what a row is of.
        hours: how far back; older than two hours counts in whole hours.
        filter_: which machines, such as 'site = "b" and role = "database"'.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    if not 0 < hours <= 24 * 366:
        raise BadInput("0 to 8784", source="hours")
    client = Client(data, tenant=tenant)
    if workload:
        _one(client, workload, output)
        return
    since_ms = int(time.time() * 1000 - hours * 3_600_000)
    found = list(
        client.pages("/ledger", LedgerRow, by=by, since_ms=max(since_ms, 0), filter=filter_ or None)
    )
    rows = [
        {
            "name": r.hostname if by == "workload" else r.capability,
            "machines": r.workloads,
            "core": "-" if r.cpu_pct is None else f"{r.cpu_pct:.3f}",
            **_figures(r),
        }
        for r in found
    ]
    first = ("name", "HOST" if by == "workload" else "CAPABILITY")
    heads = [first, *([("machines", "MACHINES")] if by == "capability" else []), *HEADS]
    empty = "no ledger yet: no agent has reported"
    _output.rows_out(rows, heads, output, raw=found, empty=empty)


def _one(client: Client, workload: str, output: Output) -> None:
    detail = client.get(f"/workloads/{workload}", WorkloadDetail)
    rows = [
        {
            "capability": e.capability,
            "core": f"{100 * e.cpu_s / e.window_s:.2f}" if e.window_s else "-",
            **_figures(e),
        }
        for e in detail.ledger
    ]
    heads = [("capability", "CAPABILITY"), *HEADS]
    _output.rows_out(rows, heads, output, raw=[detail], empty="no ledger yet: it has not reported")
    if output != "table":
        return
    grant, name = detail.budget, detail.workload.hostname
    print(
        f"{name}: granted {grant.background_pct} % of the machine for background work, "
        f"{grant.event_pct} % of a core for events, {size(grant.memory_bytes)}"
    )
    for agent in client.pages("/agents", AgentView, filter=f'workload = "{workload}"'):
        if agent.budget:
            for line in words(agent.budget):
                print(f"{name}: {line}")


def words(state: BudgetState) -> list[str]:
    """How the grants are kept on a machine (`BudgetState`), one statement each."""
    told = [f"bounds by {state.by}: {state.detail}" if state.detail else f"bounds by {state.by}"]
    if state.pressure is not None:
        told.append("pressure " + ", ".join(f"{k} {v:.0f} %" for k, v in state.pressure.items()))
    if state.backing_off:
        told.append("background work waits: the machine is under pressure")
    if not state.window_open:
        told.append("background work waits for the next maintenance window")
    if state.shed_level:
        told.append(f"sheds events (step {state.shed_level}): {state.shed}")
    return told


def _figures(row: LedgerRow | LedgerEntry) -> dict[str, object]:
    return {
        "runs": row.runs,
        "rows": row.rows,
        "cpu": f"{row.cpu_s:.3f}",
        "out": size(row.bytes_out),
        "shed": row.shed,
    }
