"""Runs collectors over a Host and keeps proof of what was looked at."""

from __future__ import annotations

import logging
import struct
import time
import zlib
from collections.abc import Callable, Iterator

import msgspec

from hauberk.errors import BadInput, HostError, NotLive
from hauberk.ports import Clock, Collector, Host, Notes
from hauberk.registry import discover
from hauberk.schema.asset import Asset, Collection, Outcome, Problem

_log = logging.getLogger(__name__)
PACE_ROWS = 64
# What a parser raises on input that its author did not think of: it ends this collection, with
# the place in the log and the report, and not the others.
_PARSER_ERRORS = (
    BadInput,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    RecursionError,
    EOFError,
    struct.error,
    zlib.error,
    msgspec.MsgspecError,
)


def collectors() -> dict[str, Collector]:
    """Every collector of `hauberk.assets`, by subclass.

    Raises:
        TypeError: two modules claim one subclass.
    """
    found: dict[str, Collector] = {}
    for module, collector in discover("hauberk.assets", "COLLECTOR", Collector).items():
        if collector.subclass in found:
            raise TypeError(
                f"hauberk.assets.{module}: {collector.subclass} has a collector already"
            )
        found[collector.subclass] = collector
    return found


def run(
    collector: Collector,
    host: Host,
    *,
    epoch: int,
    clock: Clock,
    pace: Callable[[], None] | None = None,
) -> tuple[list[Asset], Collection]:
    """Collect one subclass.

    Args:
        collector: which subclass and how.
        host: the machine to look at.
        epoch: number of this full snapshot.
        clock: for `Collection.ended_ns`.
        pace: called every 64 rows; may sleep to keep the budget. Its own errors pass through.

    Returns:
        The rows (keys unique) and the proof. Outcome "partial": rows are right but some place
        could not be looked at (`full` is False when that may hide rows); "error": nothing, or not
        to the end (`full` is False);
        "not_applicable": this host is not a running machine.
    """
    notes = Notes() if pace is None else Notes(pace=pace)
    rows: dict[str, Asset] = {}
    started = time.thread_time()
    outcome: Outcome = "ok"
    step = _guarded(collector, host, notes)
    while True:
        row = step()
        if row is None or not isinstance(row, Asset):
            outcome = row or "ok"
            break
        key = row.key()
        if key in rows:
            notes.add(collector.subclass, f"more than one row for {key!r}: the first is kept")
            continue
        rows[key] = row
        if pace is not None and len(rows) % PACE_ROWS == 0:
            pace()
    if outcome == "ok" and notes.problems:
        outcome = "partial"
    proof = Collection(
        subclass=collector.subclass,
        outcome=outcome,
        rows=len(rows),
        epoch=epoch,
        ended_ns=clock.wall_ns(),
        cpu_s=time.thread_time() - started,
        problems=[Problem(where=p.where[:400], what=p.what[:600]) for p in notes.problems],
        full=outcome in ("ok", "partial") and not notes.hidden,
    )
    return list(rows.values()), proof


def _guarded(
    collector: Collector, host: Host, notes: Notes
) -> Callable[[], Asset | Outcome | None]:
    """One row a call, None at the end, or how it ended before."""
    rows: Iterator[Asset] = iter(())
    begun = False

    def step() -> Asset | Outcome | None:
        nonlocal rows, begun
        try:
            if not begun:
                rows, begun = iter(collector.collect(host, notes)), True
            row = next(rows, None)
        except NotLive as error:
            notes.add(collector.subclass, error)
            return "not_applicable"
        except HostError as error:
            notes.add(collector.subclass, error)
            return "error"
        except _PARSER_ERRORS as error:
            place = _place(error)
            _log.warning("collecting %s failed in %s", collector.subclass, place, exc_info=error)
            notes.add(f"{collector.subclass} ({place})", f"{type(error).__name__}: {error}")
            return "error"
        if row is not None and not isinstance(row, collector.struct):
            notes.add(collector.subclass, f"a row is {type(row).__name__}: a bug of the collector")
            return "error"
        return row

    return step


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    name = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{name}:{trace.tb_lineno}"
