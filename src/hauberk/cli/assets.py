"""Assets of the fleet: all classes with their counts, or the rows of one subclass."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, title, when
from hauberk.errors import BadInput
from hauberk.schema.taxonomy import CLASSES, SUBCLASSES
from hauberk.schema.view import (
    AssetRow,
    Change,
    ClassState,
    CollectionView,
    SubclassState,
    WorkloadDetail,
)

app = App(name="assets", help=__doc__)


@app.default
def assets(
    what: str = "",
    *,
    workload: str | None = None,
    changed_since: str | None = None,
    filter: str | None = None,  # noqa: A002  # the API's own word
    gone: bool = False,
    limit: int | None = None,
    output: Output = "table",
    data: Path | None = None,
    tenant: Annotated[str | None, Parameter(show=False)] = None,
) -> None:
    """List classes and counts, or the rows of CLASS.SUBCLASS.

    Args:
        what: a class (`software`) or a subclass (`software.os_package`); empty lists all classes.
        workload: only this workload (id).
        changed_since: only what changed since this ISO time, such as 2026-11-24T08:00.
        filter: filter expression, such as 'name ~ ssl and version != "3.0"'.
        gone: include what is no longer there.
        limit: at most so many rows.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    client = Client(data, tenant=tenant)
    if what in SUBCLASSES:
        if changed_since:
            _changes(client, what, changed_since, workload, output)
        else:
            _rows(client, what, output, limit, workload=workload, filter=filter, gone=gone or None)
        return
    if what and what not in {c.id for c in CLASSES}:
        raise BadInput(f"no class or subclass {what!r}: `hauberk assets` lists them all")
    _overview(client, what, workload, output)


def _overview(client: Client, what: str, workload: str | None, output: _output.Format) -> None:
    if workload:
        _looks(client.get(f"/workloads/{workload}", WorkloadDetail).collections, what, output)
        return
    chosen = [c for c in client.get("/taxonomy", list[ClassState]) if not what or c.id == what]
    rows = [
        {
            "id": s.id,
            "title": title(s.title),
            "rows": _count(s),
            "workloads": s.workloads,
            "newest": when(s.newest_ms),
        }
        for c in chosen
        for s in c.subclasses
    ]
    heads = [
        ("id", "SUBCLASS"),
        ("title", "TITLE"),
        ("rows", "ROWS"),
        ("workloads", "WORKLOADS"),
        ("newest", "LAST LOOK"),
    ]
    _output.rows_out(rows, heads, output, raw=chosen)


def _looks(looks: list[CollectionView], what: str, output: _output.Format) -> None:
    chosen = [c for c in looks if not what or c.subclass.startswith(f"{what}.")]
    rows = [
        {
            "id": c.subclass,
            "title": title(c.title),
            "rows": c.rows,
            "outcome": c.outcome,
            "at": when(c.ended_ms),
            "problems": len(c.problems),
        }
        for c in chosen
    ]
    heads = [
        ("id", "SUBCLASS"),
        ("title", "TITLE"),
        ("rows", "ROWS"),
        ("outcome", "OUTCOME"),
        ("at", "LAST LOOK"),
        ("problems", "PROBLEMS"),
    ]
    _output.rows_out(
        rows, heads, output, raw=chosen, empty="not assessed: no look has been reported"
    )


def _count(state: SubclassState) -> str:
    if state.state in ("not_collected", "not_assessed"):
        return state.state.replace("_", " ")
    note = "" if state.state == "assessed" else f" ({state.state})"
    return f"{'-' if state.rows is None else state.rows}{note}"


def _rows(
    client: Client, subclass: str, output: _output.Format, limit: int | None, **params: object
) -> None:
    found = list(client.pages(f"/assets/{subclass}", AssetRow, limit=limit, **params))
    classes = client.get("/taxonomy", list[ClassState])
    state = next(s for c in classes for s in c.subclasses if s.id == subclass)
    every = output == "csv"
    heads = [
        ("_host", "HOST"),
        *((c.name, title(c.title)) for c in state.columns if every or not c.wide),
    ]
    rows = [{"_host": r.hostname, **r.fields} for r in found]
    empty = (
        "nothing found"
        if state.state in ("assessed", "partial")
        else f"{subclass}: {_count(state)}"
    )
    _output.rows_out(rows, heads, output, raw=found, empty=empty)


def _changes(
    client: Client, subclass: str, since: str, workload: str | None, output: _output.Format
) -> None:
    try:
        moment = datetime.fromisoformat(since)
    except ValueError as error:
        raise BadInput(f"{since!r} is not an ISO time such as 2026-11-24T08:00") from error
    if moment.tzinfo is None:
        moment = moment.astimezone()
    found = list(
        client.pages(
            "/changes",
            Change,
            workload=workload,
            since_ms=int(moment.astimezone(UTC).timestamp() * 1000),
            filter=f'subclass = "{subclass}"',
        )
    )
    rows = [
        {
            "at": when(c.at_ms),
            "host": c.hostname,
            "kind": c.kind,
            "label": c.label,
            "what": ", ".join(f"{k}: {c.before.get(k, '-')} -> {v}" for k, v in c.after.items()),
        }
        for c in found
    ]
    heads = [
        ("at", "AT"),
        ("host", "HOST"),
        ("kind", "CHANGE"),
        ("label", "ASSET"),
        ("what", "WHAT"),
    ]
    _output.rows_out(rows, heads, output, raw=found, empty="no changes")
