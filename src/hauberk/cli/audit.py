"""The hash-chained audit log: list, verify."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cyclopts import App

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, when
from hauberk.schema.view import AuditCheck, AuditView

app = App(name="audit", help=__doc__)


@app.command(name="list")
def list_(
    *,
    limit: int = 100,
    filter: str | None = None,  # noqa: A002  # the API's own word
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """List entries, newest first."""
    found = list(Client(data, tenant=tenant).pages("/audit", AuditView, limit=limit, filter=filter))
    rows = [
        {
            "seq": e.seq,
            "at": when(e.at_ms),
            "actor": e.actor,
            "action": e.action,
            "target": e.target,
            "detail": msgspec.json.encode(e.detail).decode(),
        }
        for e in found
    ]
    heads = [
        ("seq", "NO"),
        ("at", "AT"),
        ("actor", "WHO"),
        ("action", "ACTION"),
        ("target", "TARGET"),
        ("detail", "DETAIL"),
    ]
    _output.rows_out(rows, heads, output, raw=found)


@app.command
def verify(*, output: Output = "table", data: Path | None = None, tenant: str | None = None) -> int:
    """Walk the chain; exit status 1 when it is broken."""
    check = Client(data, tenant=tenant).get("/audit/verify", AuditCheck)
    if output == "json":
        _output.json_out(check)
    elif check.intact:
        print(f"intact: {check.entries} entries, head {check.head}")
    else:
        print(f"BROKEN at entry {check.broken_at} of {check.entries}")
    return 0 if check.intact else 1
