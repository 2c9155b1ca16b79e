"""The ledger: what each capability spent on a workload, against what was granted."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, size
from hauberk.schema.view import WorkloadDetail, WorkloadView

app = App(name="budget", help=__doc__)


@app.default
def budget(
    *,
    workload: str | None = None,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Show the ledger of the last hour.

    Args:
        workload: id; without it every workload is shown.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    client = Client(data, tenant=tenant)
    ids = [workload] if workload else [w.id for w in client.pages("/workloads", WorkloadView)]
    details = [client.get(f"/workloads/{i}", WorkloadDetail) for i in ids]
    rows = [
        {
            "host": d.workload.hostname,
            "capability": e.capability,
            "runs": e.runs,
            "rows": e.rows,
            "cpu": f"{e.cpu_s:.3f}",
            "core": f"{100 * e.cpu_s / e.window_s:.2f}" if e.window_s else "-",
            "out": size(e.bytes_out),
            "shed": e.shed,
        }
        for d in details
        for e in d.ledger
    ]
    heads = [
        ("host", "HOST"),
        ("capability", "CAPABILITY"),
        ("runs", "RUNS"),
        ("rows", "ROWS"),
        ("cpu", "CPU S"),
        ("core", "% OF A CORE"),
        ("out", "SENT"),
        ("shed", "SHED"),
    ]
    _output.rows_out(rows, heads, output, raw=details, empty="no ledger yet: no agent has reported")
    if output == "table":
        for d in details:
            print(
                f"{d.workload.hostname}: granted {d.budget.background_pct} % of the machine for "
                f"background work, {d.budget.event_pct} % of a core for events"
            )
