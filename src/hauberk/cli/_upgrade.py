"""Packages and rollouts on the command line: sending a file, finding a package, watching."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hauberk.cli._client import Client
from hauberk.cli._output import when
from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.schema.text import display
from hauberk.schema.view_fleet import PackageView, RolloutView

WATCH_S = 2.0
_CHUNK = 256 * 1024
# In the order of an agent's way.
_STATES = ("waiting", "offered", "trial", "healthy", "rolled_back", "failed", "skipped")


def add(client: Client, file: Path, note: str = "") -> PackageView:
    """Send a package; with progress on a terminal. Raises BadInput when it cannot be read."""
    try:
        size = file.stat().st_size
        with file.open("rb") as source:
            return client.upload("/packages", PackageView, _chunks(source, size), size, note=note)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", source=str(file)) from error


def find(client: Client, wanted: str | None, *, files: bool = True) -> PackageView:
    """The package that a version, a SHA-256, its beginning or a file names; None: the newest.

    Raises:
        NotFound: there is none.
        BadInput: it could be several.
    """
    known = list(client.pages("/packages", PackageView))
    if wanted is None:
        if not known:
            raise NotFound("no package was added yet: hauberk agents packages add FILE")
        return _only([p for p in known if p.sequence == known[0].sequence], known[0].version)
    found = [p for p in known if wanted in (p.version, p.sha256)]
    found = found or [p for p in known if len(wanted) >= 6 and p.sha256.startswith(wanted)]
    if found:
        return _only(found, wanted)
    file = Path(wanted)
    if not files or not file.is_file():
        also = " nor a file" if files else ""
        raise NotFound(f"{wanted}: neither version nor SHA-256 of a package here{also}")
    digest = _digest(file)
    same = next((p for p in known if p.sha256 == digest), None)
    return same or add(client, file)


def watch(client: Client, rollout: str, *, quiet: bool) -> RolloutView:
    """Wait for its end or a pause; on a terminal with one line of progress."""
    shown = sys.stderr.isatty() and not quiet
    before = ""
    while True:
        view = client.get(f"/rollouts/{rollout}", RolloutView)
        if shown and (line := progress(view)) != before:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            before = line
        if view.state not in ("canary", "all"):
            if shown:
                sys.stderr.write("\n")
            return view
        time.sleep(WATCH_S)


def progress(view: RolloutView) -> str:
    """One line about a rollout."""
    counts = ", ".join(f"{view.states[s]} {s}" for s in _STATES if view.states.get(s))
    reason = f": {display(view.message)}" if view.message else ""
    return f"{view.state} {view.version} ({counts}){reason}"


def ended(view: RolloutView) -> None:
    """Raises Conflict when a rollout did not end well."""
    if view.state == "halted":
        raise Conflict(f"the rollout was halted: {view.message}")
    bad = sum(view.states.get(state, 0) for state in ("rolled_back", "failed"))
    if bad:
        raise Conflict(f"{bad} of {view.total} agents did not take the package")


def rows(rollouts: list[RolloutView]) -> list[dict[str, object]]:
    """Rollouts as a table shows them."""
    return [
        {
            "id": r.id,
            "version": r.version,
            "state": r.state,
            "agents": r.total,
            "healthy": r.states.get("healthy", 0),
            "bad": r.states.get("rolled_back", 0) + r.states.get("failed", 0),
            "by": r.created_by,
            "at": when(r.created_ms),
            "message": r.message,
        }
        for r in rollouts
    ]


def _only(found: list[PackageView], what: str) -> PackageView:
    if len(found) > 1:
        listed = ", ".join(f"{p.sha256[:12]} ({p.arch})" for p in found)
        raise BadInput(f"{what} is several packages: {listed}; name one", source="package")
    return found[0]


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _chunks(source: BinaryIO, size: int) -> Iterator[bytes]:
    shown = sys.stderr.isatty()
    sent = 0
    while chunk := source.read(_CHUNK):
        yield chunk
        sent += len(chunk)
        if shown:
            end = "\n" if sent >= size else ""
            sys.stderr.write(f"\r\x1b[Ksending {sent >> 20} of {size >> 20} MiB{end}")
            sys.stderr.flush()
