"""One way to print rows: table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from hauberk.schema.taxonomy import Title
from hauberk.schema.text import display

Format = Literal["table", "json", "ndjson", "csv"]
Output = Annotated[Format, Parameter(name=["--output", "-o"], help="table, json, ndjson or csv")]
_WALL_NS = 10**17
# A spreadsheet runs cells that begin so as formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def language() -> str:
    """Zh or en, from HAUBERK_LANG, LC_ALL, LANG."""
    for name in ("HAUBERK_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def title(text: Title) -> str:
    """A title in the user's language."""
    return text.zh if language() == "zh" else text.en


def json_out(value: object) -> None:
    """The API's own representation, indented."""
    raw = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(raw.decode() + "\n")


def rows_out(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[tuple[str, str]],
    output: Format,
    *,
    raw: Iterable[object] | None = None,
    empty: str = "nothing found",
) -> None:
    """Print rows.

    Args:
        rows: field -> value.
        columns: (field, heading) in order.
        output: the format.
        raw: what `json` prints instead of `rows`: the API's Structs.
        empty: what a table without rows says, on standard error.
    """
    if output in ("json", "ndjson"):
        items = list(raw if raw is not None else rows)
        if output == "json":
            json_out(items)
        else:
            for item in items:
                sys.stdout.write(msgspec.json.encode(item).decode() + "\n")
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([name for name, _ in columns])
        for row in rows:
            writer.writerow([_csv(row.get(name)) for name, _ in columns])
    else:
        _table(list(rows), columns, empty)


def when(ms: int | None) -> str:
    """Local time of milliseconds since 1970, or a dash."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _table(rows: list[Mapping[str, Any]], columns: Sequence[tuple[str, str]], empty: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(empty, file=sys.stderr)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for _, heading in columns:
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(name, row.get(name))) for name, _ in columns))
    wide = None if sys.stdout.isatty() else 240
    Console(width=wide).print(table)


def _shown(name: str, value: Any) -> str:
    # Wall-clock columns are called *_ns; a time since boot has far fewer digits.
    if name.endswith("_ns") and isinstance(value, int | str) and str(value).isdigit():
        moment = int(value)
        if moment >= _WALL_NS:
            return when(moment // 1_000_000)
    return _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return display(" ".join(str(v) for v in value))
    return display(str(value))


def _csv(value: Any) -> str:
    text = "" if value is None else _cell(value)
    return "'" + text if text.startswith(_FORMULA) and not isinstance(value, int | float) else text
