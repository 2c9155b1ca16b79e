"""Streamed exports: CSV that a spreadsheet cannot be tricked with, or one JSON array."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec
from litestar.response import Stream

from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.text import display
from hauberk.schema.view import AssetRow, EventRow
from hauberk.store import inventory

Row = TypeVar("Row", AssetRow, EventRow)
Columns = list[tuple[str, Callable[[Any], Any]]]
Format = Literal["csv", "json"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CHUNK = 64 * 1024


def stream(rows: Iterator[Row], columns: Columns, format_: Format, name: str) -> Stream:
    """The response. The first row is fetched now: a wrong filter is a 400, not a torn file."""
    first = next(rows, None)
    every: Iterable[Row] = [] if first is None else _chain(first, rows)
    chunks = csv_chunks(every, columns) if format_ == "csv" else json_chunks(every)
    media = "text/csv" if format_ == "csv" else "application/json"
    file = f"{name.replace('.', '-')}.{format_}"
    return Stream(
        chunks, media_type=media, headers={"Content-Disposition": f'attachment; filename="{file}"'}
    )


def _chain(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def csv_chunks(rows: Iterable[Any], columns: Columns) -> Iterator[bytes]:
    """CSV with a header, in chunks of about 64 KiB."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([title for title, _ in columns])
    for row in rows:
        writer.writerow([cell(read(row)) for _, read in columns])
        if text.tell() > _CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def json_chunks(rows: Iterable[Any]) -> Iterator[bytes]:
    """One JSON array, in chunks of about 64 KiB."""
    encoder = msgspec.json.Encoder()
    buffer = bytearray(b"[")
    separator = b""
    for row in rows:
        buffer += separator + encoder.encode(row)
        separator = b",\n"
        if len(buffer) > _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer + b"]")


def cell(value: Any) -> Any:
    """A CSV cell. Text that a spreadsheet would run is led by an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, list):
        value = " ".join(str(item) for item in value)
    text = str(value)
    if text.startswith(_FORMULA):
        text = "'" + text
    return display(text)


def asset_columns(subclass: str) -> Columns:
    """Columns of an asset export: the list's own, in its order."""
    columns: Columns = [
        ("id", lambda r: r.id),
        ("workload", lambda r: r.workload),
        ("hostname", lambda r: r.hostname),
        ("label", lambda r: r.label),
    ]
    columns += [(c.name, _field(c.name)) for c in inventory.columns(subclass)]
    columns += [(n, _time(n)) for n in ("first_seen", "changed", "last_seen", "gone")]
    return columns


def event_columns(table: str) -> Columns:
    """Columns of an event export."""
    columns: Columns = [
        ("received", _time("received")),
        ("time", _time("time")),
        ("workload", lambda r: r.workload),
        ("hostname", lambda r: r.hostname),
    ]
    return columns + [(c.name, _field(c.name)) for c in columns_of(EVENT_CLASSES[table])]


def _field(name: str) -> Callable[[Any], Any]:
    return lambda row: row.fields.get(name)


def _time(name: str) -> Callable[[Any], Any]:
    return lambda row: _iso(getattr(row, f"{name}_ms"))


def _iso(ms: int | None) -> str | None:
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError):
        # A machine's clock may say anything; the number is better than nothing.
        return str(ms)
