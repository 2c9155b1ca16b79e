"""Which (agent, boot, sequence) were seen: newest by digest, older ones folded into spans."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

Key = tuple[str, str, int]
Span = tuple[str, str, int, int]


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same spans (agent, boot, first, last), sorted already, with neighbours made one."""
    out: list[Span] = []
    for agent, boot, first, last in spans:
        if out and out[-1][:2] == (agent, boot) and first <= out[-1][3] + 1:
            out[-1] = (agent, boot, out[-1][2], max(last, out[-1][3]))
        else:
            out.append((agent, boot, first, last))
    return out


def seen_before(db: sqlite3.Connection, key: Key) -> bytes | None:
    """The digest under `key`; b"" when only the sequence is still known; None when it is new."""
    row = db.execute(
        "SELECT digest FROM seen WHERE agent = ? AND boot = ? AND sequence = ?", key
    ).fetchone()
    if row is not None:
        return bytes(row[0])
    row = db.execute(
        "SELECT last FROM span WHERE agent = ? AND boot = ? AND first <= ?"
        " ORDER BY first DESC LIMIT 1",
        key,
    ).fetchone()
    return b"" if row is not None and row[0] >= key[2] else None


def fold(db: sqlite3.Connection, upto: int) -> None:
    """Turn digests of positions <= upto into spans, joined with their neighbours."""
    rows = db.execute(
        "SELECT agent, boot, sequence FROM seen WHERE position <= ? ORDER BY agent, boot, sequence",
        (upto,),
    ).fetchall()
    if not rows:
        return
    runs: list[list[object]] = []
    for agent, boot, sequence in rows:
        if runs and runs[-1][:2] == [agent, boot] and runs[-1][3] == sequence - 1:
            runs[-1][3] = sequence
        else:
            runs.append([agent, boot, sequence, sequence])
    for agent, boot, first, last in runs:
        _join(db, str(agent), str(boot), int(str(first)), int(str(last)))
    db.execute("DELETE FROM seen WHERE position <= ?", (upto,))


def _join(db: sqlite3.Connection, agent: str, boot: str, first: int, last: int) -> None:
    near = db.execute(
        "SELECT first, last FROM span WHERE agent = ? AND boot = ? AND first <= ? AND last >= ?",
        (agent, boot, last + 1, first - 1),
    ).fetchall()
    for low, high in near:
        first, last = min(first, low), max(last, high)
        db.execute(
            "DELETE FROM span WHERE agent = ? AND boot = ? AND first = ?", (agent, boot, low)
        )
    db.execute("INSERT INTO span VALUES (?, ?, ?, ?)", (agent, boot, first, last))
