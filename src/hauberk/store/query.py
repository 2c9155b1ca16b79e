"""Lists over the SQL state: the filter grammar as SQLAlchemy, sorting, keyset cursors.

A cursor holds the last row's sort key and id, and a digest of the list that it belongs to; rows
that stay are met exactly once while others come and go.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadFilter, BadInput
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.asset import ColumnKind
from hauberk.store import dialect, regex, typed
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or, Value

Matcher = Callable[[ColumnElement[Any], str], ColumnElement[bool]]
UPPER = str.maketrans({c: chr(c + 32) for c in range(65, 91)})
_LOWEST: dict[ColumnKind, object] = {"str": "", "int": -(2**62), "float": -1e300}
_PYTHON: dict[ColumnKind, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
}
_CHUNK = 20_000
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Field:
    """A column that can be filtered. A list's expression gives the text of a JSON array."""

    kind: ColumnKind
    expression: ColumnElement[Any]
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of one tenant.

    `rows` selects what the mapper needs and is narrowed to the tenant already; `id` is unique in
    it; `sort` is the default, such as "label" or "-seq"; `scope` is what else decides which list
    this is (a cursor of another scope is refused).
    """

    rows: Select[Any]
    fields: Mapping[str, Field]
    id: ColumnElement[Any]
    sort: str
    scope: tuple[object, ...]
    id_kind: ColumnKind = "str"

    def kinds(self) -> dict[str, ColumnKind]:
        """Kind per column."""
        return {name: field.kind for name, field in self.fields.items()}


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of one page. `total` only on the first one."""

    rows: Sequence[RowMapping]
    next: str | None
    total: int | None


def page(
    db: Connection, listing: Listing, *, text: str, sort: str, cursor: str | None, limit: int
) -> Found:
    """One page.

    Raises:
        BadFilter: the filter or the sort column is wrong.
        BadInput: the cursor belongs to another list.
    """
    sort = sort or listing.sort
    narrowed = narrow(db, listing, text)
    digest = digest_of(*listing.scope, sort, text)
    key, kind, falling = _sort_key(listing, sort)
    order = [key.desc(), listing.id.desc()] if falling else [key.asc(), listing.id.asc()]
    query = narrowed.add_columns(key.label("_key"), listing.id.label("_id")).order_by(*order)
    total = None
    if cursor is None:
        total = db.execute(select(func.count()).select_from(narrowed.subquery())).scalar_one()
    else:
        last = decode_cursor(cursor, digest, (_PYTHON[kind], _PYTHON[listing.id_kind]))
        here = tuple_(key, listing.id)
        there = tuple_(dialect.value(last[0], kind), dialect.value(last[1], listing.id_kind))
        query = query.where(here < there if falling else here > there)
    rows = db.execute(query.limit(limit + 1)).mappings().all()
    more = len(rows) > limit
    rows = rows[:limit]
    following = encode_cursor(digest, rows[-1]["_key"], rows[-1]["_id"]) if more else None
    return Found(rows, following, total)


def every(
    connect: Callable[[], Any], listing: Listing, *, text: str, sort: str, chunk: int = 1000
) -> Iterator[RowMapping]:
    """All rows of a list, page by page, each in a transaction of its own."""
    for rows in pages(connect, listing, text=text, sort=sort, chunk=chunk):
        yield from rows


def pages(
    connect: Callable[[], Any], listing: Listing, *, text: str, sort: str, chunk: int = 1000
) -> Iterator[Sequence[RowMapping]]:
    """The pages of `every`."""
    cursor: str | None = None
    while True:
        with connect() as db:
            found = page(db, listing, text=text, sort=sort, cursor=cursor, limit=chunk)
        yield found.rows
        cursor = found.next
        if cursor is None:
            return


def narrow(db: Connection, listing: Listing, text: str) -> Select[Any]:
    """The list's rows that the filter leaves. Raises BadFilter."""
    tree = typed.read(text, listing.kinds())
    if tree is None:
        return listing.rows

    def match(expression: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
        return _in_matching(db, listing.rows, expression, pattern)

    return listing.rows.where(compile_filter(tree, listing.fields, match))


def compile_filter(
    tree: Filter, fields: Mapping[str, Field], match: Matcher
) -> ColumnElement[bool]:
    """SQL of a bound filter; never null, so that `not` of it is right."""
    if isinstance(tree, Not):
        return not_(compile_filter(tree.item, fields, match))
    if isinstance(tree, And):
        return and_(*(compile_filter(item, fields, match) for item in tree.items))
    if isinstance(tree, Or):
        return or_(*(compile_filter(item, fields, match) for item in tree.items))
    field = fields[tree.field]
    if isinstance(tree, IsNull):
        return field.expression.is_(None)
    if isinstance(tree, In):
        return _sure(_any_of(field, tree.values))
    return _compare(tree, field, match)


def _compare(item: Compare, field: Field, match: Matcher) -> ColumnElement[bool]:
    if item.op == "=":
        return _sure(_any_of(field, (item.value,)))
    if item.op == "!=":
        return not_(_sure(_any_of(field, (item.value,))))
    whole = dialect.joined(field.expression) if field.kind == "list" else field.expression
    if item.op == "~":
        return _sure(dialect.contains(whole, str(item.value).translate(UPPER)))
    if item.op == "=~":
        return _sure(match(whole, str(item.value)))
    value = dialect.value(item.value, field.kind)
    orders: dict[str, ColumnElement[bool]] = {
        "<": whole < value,
        "<=": whole <= value,
        ">": whole > value,
        ">=": whole >= value,
    }
    return _sure(orders[item.op])


def _sure(expression: ColumnElement[bool]) -> ColumnElement[bool]:
    return func.coalesce(expression, false())


def _any_of(field: Field, values: Sequence[Value]) -> ColumnElement[bool]:
    wanted = [dialect.value(v, field.kind) for v in values]
    if field.kind != "list":
        return field.expression.in_(wanted)
    item = dialect.json_items(field.expression)
    found = select(literal(1)).select_from(item)
    return found.where(item.c.value.in_(wanted)).exists()


def _in_matching(
    db: Connection, rows: Select[Any], expression: ColumnElement[Any], pattern: str
) -> ColumnElement[bool]:
    """`=~`: SQL has no RE2, so the distinct values are matched outside and asked for by name."""
    regex.check(pattern)
    values = rows.with_only_columns(expression.label("v"), maintain_column_froms=True).distinct()
    matched: list[str] = []
    for part in db.execute(values).scalars().partitions(_CHUNK):
        matched += regex.matching([v for v in part if isinstance(v, str)], pattern)
    if not matched:
        return false()
    text = msgspec.json.encode(matched).decode()
    listed = dialect.json_items(dialect.value(text, "list"))
    return expression.in_(select(listed.c.value))


def _sort_key(listing: Listing, sort: str) -> tuple[ColumnElement[Any], ColumnKind, bool]:
    falling = sort.startswith("-")
    name = sort.removeprefix("-")
    field = listing.fields.get(name)
    known = ", ".join(sorted(n for n, f in listing.fields.items() if f.kind != "list"))
    if field is None or field.kind == "list":
        raise BadFilter(f"cannot sort by {name[:60]!r}; known: {known}", source="sort")
    # Truth values are sorted as numbers: below "no" is "unknown".
    kind: ColumnKind = "int" if field.kind == "bool" else field.kind
    key = dialect.ordinal(field.expression, field.kind)
    if field.nullable:
        key = func.coalesce(key, dialect.value(_LOWEST[kind], kind))
    return key, kind, falling


def digest_of(*parts: object) -> bytes:
    """What binds a cursor to its list."""
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()[:12]


def encode_cursor(digest: bytes, *last: object) -> str:
    """An opaque cursor behind a row."""
    raw = msgspec.msgpack.encode((digest, *last))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: str, digest: bytes, types: Sequence[type | tuple[type, ...]]) -> list[Any]:
    """The row's keys, which are of `types`. Raises BadInput."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = msgspec.msgpack.decode(raw, type=list[Any])
    except (binascii.Error, ValueError, *UNDECODABLE) as error:
        raise BadInput("not a cursor: use `next` of the page before", source="cursor") from error
    good = len(found) == len(types) + 1 and found[0] == digest
    good = good and not any(isinstance(v, int) and not -_INT64 <= v < _INT64 for v in found)
    if not good or not all(isinstance(v, t) for v, t in zip(found[1:], types, strict=True)):
        raise BadInput(
            "the cursor belongs to another list, sort or filter: start at the first page",
            source="cursor",
        )
    return found[1:]


def plain(value: Any) -> Any:
    """A field's value as JSON for every client: integers beyond 2^53 are decimal text."""
    if isinstance(value, int) and not -(2**53) < value < 2**53:
        return str(value)
    return value


def counted(rows: Iterable[Any]) -> dict[str, int]:
    """(name, number) rows as a mapping."""
    return {str(row[0]): int(row[1]) for row in rows}
