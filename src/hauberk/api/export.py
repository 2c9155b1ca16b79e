"""Exports of whole lists: CSV and workbooks for people, one JSON array for programs.

CSV and XLSX have the words, units and columns of the screen, in the reader's language and time
zone; JSON has the API's own rows. CSV and JSON are streamed row by row; a workbook is written to a
temporary file first. What fails in the middle of a stream breaks the transfer: a file that came
whole is whole.
"""

from __future__ import annotations

import csv
import io
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import msgspec
from anyio.to_thread import run_sync
from litestar.response import Stream

from hauberk.api.columns import Column, choose
from hauberk.api.context import Context, Identity
from hauberk.api.reader import Cell, Language, Reader, reader
from hauberk.api.xlsx import Book
from hauberk.schema.taxonomy import Title

Format = Literal["csv", "json", "xlsx"]
MEDIA: Mapping[Format, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CHUNK = 64 * 1024
# Excel takes a CSV file for the system's own code page without it.
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Form:
    """How the file shall be. `columns` is the comma-separated choice, empty for all."""

    format: Format
    reader: Reader
    columns: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list to export. `scope` is what a workbook says of it besides its title."""

    name: str
    title: Title
    columns: Sequence[Column]
    rows: Iterator[Any]
    scope: Mapping[str, object] = field(default_factory=dict)


class Body:
    """The chunks of a response. `done` is called once, when they end, fail or are given up.

    The framework's own iterator takes a ValueError for the regular end, and is freed late.
    """

    def __init__(self, chunks: Iterator[bytes], done: Callable[[], object]) -> None:
        self._chunks = chunks
        # A client that leaves gives this object up, maybe before the first chunk.
        self._done = weakref.finalize(self, done)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None
        try:
            chunk = await run_sync(next, self._chunks, None)
        finally:
            if chunk is None:
                await run_sync(self._done)
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def form(format_: Format, language: Language, columns: str, zone: str) -> Form:
    """What the parameters ask for. Raises BadInput for an unknown zone."""
    return Form(format_, reader(language, zone), columns)


def answer(ctx: Context, who: Identity, wanted: Form, listed: Listed) -> Stream:
    """The response. What can be wrong is found before its first byte.

    Raises:
        BadInput, BadFilter: an unknown column; a wrong filter.
        Busy: this user, or everybody together, exports as much as may be at once.
        StorageFull: no room for the workbook.
    """
    columns = choose(listed.columns, wanted.columns)
    with ExitStack() as stack:
        stack.callback(ctx.exports.take(who.asker).free)
        first = next(listed.rows, None)
        rows: Iterator[Any] = iter(()) if first is None else chain([first], listed.rows)
        if wanted.format == "csv":
            chunks = csv_chunks(rows, columns, wanted.reader)
        elif wanted.format == "json":
            chunks = json_chunks(rows)
        else:
            chunks = _book(ctx, who, wanted.reader, listed, columns, rows, stack)
        body = Body(chunks, stack.pop_all().close)
    file = f"{listed.name.replace('.', '-')}.{wanted.format}"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return Stream(body, media_type=MEDIA[wanted.format], headers=headers)


def csv_chunks(rows: Iterable[Any], columns: Sequence[Column], who: Reader) -> Iterator[bytes]:
    """CSV with titles, in chunks of about 64 KiB; for Chinese with a byte-order mark."""
    text = io.StringIO(newline="")
    if who.language == "zh-CN":
        text.write(_BOM)
    writer = csv.writer(text)
    writer.writerow([cell(who.title(column.title)) for column in columns])
    for row in rows:
        writer.writerow([cell(column.shown(row, who)) for column in columns])
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


def cell(value: Cell) -> Cell:
    """A CSV cell. Text that a spreadsheet would run is led by an apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _book(
    ctx: Context,
    who: Identity,
    person: Reader,
    listed: Listed,
    columns: Sequence[Column],
    rows: Iterable[Any],
    stack: ExitStack,
) -> Iterator[bytes]:
    title = person.title(listed.title)
    book = Book(title, [person.title(column.title) for column in columns])
    stack.callback(book.close)
    book.write([column.shown(row, person) for column in columns] for row in rows)
    facts = ctx.facts()
    about: list[tuple[str, Cell]] = [(person.word("list"), title)]
    about += [(person.word(key), str(value)) for key, value in listed.scope.items() if value]
    about += [
        (person.word("made"), person.stamp(ctx.now_ms())),
        (person.word("user"), who.name),
        (person.word("tenant"), who.tenant),
        (person.word("server"), f"{', '.join(facts.urls)} (Hauberk {facts.version})"),
        (person.word("rows"), book.rows),
        (person.word("cut"), book.cut),
    ]
    book.finish(person.word("about"), about)
    return book.chunks()
