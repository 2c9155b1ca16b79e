"""Runs: the same order to many machines, how far it is, and calling it off."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hauberk.cli import _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, when
from hauberk.schema.view import RunInput
from hauberk.schema.view_fleet import RunTaskView, RunView

app = App(name="runs", help=__doc__)
_LOOK_S = 1.0
_OPEN = ("pending", "sent")
_HEADS = [
    ("id", "RUN"),
    ("kind", "KIND"),
    ("state", "STATE"),
    ("progress", "ENDED"),
    ("states", "TASKS"),
    ("by", "BY"),
    ("created", "CREATED"),
    ("filter", "FILTER"),
]
_TASK_HEADS = [
    ("host", "HOST"),
    ("state", "STATE"),
    ("ended", "ENDED"),
    ("message", "MESSAGE"),
    ("workload", "WORKLOAD"),
]


@app.command(name="list")
def list_(
    *,
    filter: str | None = None,  # noqa: A002  # the API's own word
    limit: int = 50,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """List runs with their progress, newest first.

    Args:
        filter: such as 'state = running'.
        limit: runs at most.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    client = Client(data, tenant=tenant)
    found = list(client.pages("/runs", RunView, limit=limit, filter=filter))
    _output.rows_out(map(_row, found), _HEADS, output, raw=found, empty="no run yet")


@app.command
def show(
    run: str,
    *,
    filter: str | None = None,  # noqa: A002  # the API's own word
    wait: bool = False,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> int:
    """Show each machine's part of a run. With --wait: exit status 1 unless all are done.

    Args:
        run: the run's id.
        filter: such as 'state = failed'.
        wait: until no task is open; shows progress on a terminal.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    client = Client(data, tenant=tenant)
    code = _follow(client, run) if wait else 0
    _show(client, run, filter, output)
    return code


@app.command
def cancel(
    run: str, *, output: Output = "table", data: Path | None = None, tenant: str | None = None
) -> None:
    """Call off what is still open; agents that have their task already are asked to stop."""
    view = Client(data, tenant=tenant).send("POST", f"/runs/{run}/cancel", RunView)
    if output == "table":
        print(f"run {run} is cancelled: {_states(view)}")
    else:
        _output.json_out(view)


@app.command
def new(
    subclasses: Annotated[list[str] | None, Parameter(name=["--subclass"])] = None,
    *,
    filter: str = "",  # noqa: A002  # the API's own word
    hours: float = 1.0,
    wait: bool = False,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> int:
    """Order many machines to collect now. With --wait: exit status 1 unless all are done.

    Args:
        subclasses: what to collect, may be repeated; everything without it.
        filter: which machines, as for `hauberk inventory`; all without it.
        hours: how long a machine that is away may still take the order.
        wait: until no task is open; shows progress on a terminal.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    client = Client(data, tenant=tenant)
    order = RunInput(kind="collect", subclasses=subclasses or [], filter=filter, ttl_s=hours * 3600)
    made = client.send("POST", "/runs", RunView, order)
    if not wait:
        if output == "table":
            print(f"run {made.id}: {made.total} tasks; `hauberk runs show {made.id}` tells more")
        else:
            _output.json_out(made)
        return 0
    code = _follow(client, made.id)
    _show(client, made.id, None, output)
    return code


def _show(client: Client, run: str, text: str | None, output: _output.Format) -> None:
    found = list(client.pages(f"/runs/{run}/tasks", RunTaskView, filter=text))
    rows = [
        {
            "host": t.hostname,
            "state": t.state,
            "ended": when(t.ended_ms),
            "message": t.message,
            "workload": t.workload,
        }
        for t in found
    ]
    _output.rows_out(rows, _TASK_HEADS, output, raw=found)


def _follow(client: Client, run: str) -> int:
    """Wait until no task is open; a bar on standard error when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[states]}"),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    try:
        with bar:
            line = bar.add_task("collect", states="")
            while True:
                view = client.get(f"/runs/{run}", RunView)
                ended = view.total - _open(view)
                bar.update(line, total=view.total, completed=ended, states=_states(view))
                if not _open(view):
                    break
                time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        print(f"the run goes on: `hauberk runs cancel {run}` calls it off", file=sys.stderr)
        raise
    return 0 if view.states.get("done", 0) == view.total else 1


def _open(view: RunView) -> int:
    return sum(view.states.get(state, 0) for state in _OPEN)


def _states(view: RunView) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(view.states.items()))


def _row(view: RunView) -> dict[str, object]:
    return {
        "id": view.id,
        "kind": view.kind,
        "state": view.state,
        "progress": f"{view.total - _open(view)}/{view.total}",
        "states": _states(view),
        "by": view.created_by,
        "created": when(view.created_ms),
        "filter": view.filter,
    }
