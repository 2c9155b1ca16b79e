"""What delta-rs leaves out of the Delta log: durability, and repair after a crash.

A half-written last entry keeps a table from opening, and an empty one counts as a version. Entries
are fsynced one after the other, so only the last can be torn, and its commit was never reported as
done: it is removed, and the inbox gives its rows again.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hauberk.store.files import sync_file, sync_folder

MARK = "hauberk"
"""Key in commitInfo of our own commits: they end with a transaction action."""
_ENTRY = re.compile(r"\d{20}\.json")
_log = logging.getLogger(__name__)


def sync(table: Path, after: int, upto: int) -> None:
    """Make the log entries after < version <= upto durable."""
    folder = table / "_delta_log"
    for version in range(after + 1, upto + 1):
        entry = folder / f"{version:020d}.json"
        if entry.exists():
            sync_file(entry)
    sync_folder(folder)


def sync_checkpoint(table: Path) -> None:
    """Make the newest checkpoint durable, the file before the pointer to it."""
    folder = table / "_delta_log"
    for path in folder.glob(f"{checkpoint_version(table):020d}.checkpoint*.parquet"):
        sync_file(path)
    sync_file(folder / "_last_checkpoint")
    sync_folder(folder)


def checkpoint_version(table: Path) -> int:
    """Version of the newest checkpoint, -1 when there is none."""
    try:
        last = json.loads((table / "_delta_log/_last_checkpoint").read_bytes())
        return int(last["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def repair(table: Path) -> list[str]:
    """Remove a torn last entry and a torn checkpoint; the names removed."""
    folder = table / "_delta_log"
    if not folder.is_dir():
        return []
    removed: list[str] = []
    pointer = folder / "_last_checkpoint"
    if pointer.exists() and not _checkpoint_whole(table):
        version = checkpoint_version(table)
        for path in folder.glob(f"{version:020d}.checkpoint*.parquet"):
            removed.append(path.name)
            path.unlink()
        removed.append(pointer.name)
        pointer.unlink()
    # A checkpoint that is newer than the pointer was never said to be durable; one that is torn
    # keeps the table from opening all the same.
    for path in folder.glob("[0-9]" * 20 + ".checkpoint*.parquet"):
        if int(path.name[:20]) > checkpoint_version(table) and not _parquet_whole(path):
            removed.append(path.name)
            path.unlink()
    entries = sorted(p for p in folder.iterdir() if _ENTRY.fullmatch(p.name))
    while entries and not _whole(entries[-1].read_bytes()):
        removed.append(entries[-1].name)
        entries.pop().unlink()
    if removed:
        sync_folder(folder)
        _log.warning("lake: %s: removed torn log files %s", table, ", ".join(removed))
    return removed


def _whole(entry: bytes) -> bool:
    try:
        actions: list[dict[str, Any]] = [json.loads(line) for line in entry.splitlines()]
    except ValueError:
        return False
    if not actions or not all(isinstance(a, dict) for a in actions):
        return False
    kinds = {kind for action in actions for kind in action}
    ours = any(MARK in a["commitInfo"] for a in actions if isinstance(a.get("commitInfo"), dict))
    return not (ours and kinds & {"add", "remove"} and "txn" not in kinds)


def _checkpoint_whole(table: Path) -> bool:
    version = checkpoint_version(table)
    if version < 0:
        return False
    files = list((table / "_delta_log").glob(f"{version:020d}.checkpoint*.parquet"))
    return bool(files) and all(_parquet_whole(path) for path in files)


def _parquet_whole(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return False
    return True
