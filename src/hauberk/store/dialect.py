"""SQL that SQLite and PostgreSQL say differently: text columns, JSON in text, bytewise text.

A JSON column is text on both. A value that is not of the kind asked for is null, on both: what a
hostile agent sends must neither stop a list nor sort differently.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Integer,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from hauberk.schema.asset import ColumnKind

# What stands for a NUL character, which neither PostgreSQL's text nor SQLite's JSON functions hold.
NUL = "\U0010ff00"
# Bytes: an entry of PostgreSQL's indexes takes 2.7 KB, and a relation has two of them.
MAX_KEY = 1000
_NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def storable(text: str) -> str:
    """The text as the state keeps it: U+10FF00 for each NUL character, on every backend."""
    return text.replace("\0", NUL) if "\0" in text else text


def storable_json(text: str) -> str:
    """Encoded JSON without an escaped NUL character in it; the text around is unchanged."""
    return _NUL_IN_JSON.sub(rf"\1{NUL}", text) if r"\u0000" in text else text


def storable_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """A row with `storable` texts, in lists too; the same object where all were."""
    bad = {
        name: found
        for name, found in fields.items()
        if (isinstance(found, str) and "\0" in found)
        or (isinstance(found, list) and any("\0" in item for item in found))
    }
    for name, found in bad.items():
        bad[name] = storable(found) if isinstance(found, str) else [storable(t) for t in found]
    return fields | bad if bad else fields


def index_key(text: str) -> str:
    """A key that every index takes; a longer one is cut and ends in its SHA-256."""
    if len(text) * 4 <= MAX_KEY or len(raw := text.encode()) <= MAX_KEY:
        return text
    digest = hashlib.sha256(raw).hexdigest()
    return f"{raw[: MAX_KEY - 80].decode(errors='ignore')}…{digest}"


class Words(TypeDecorator[str]):
    """A text column: sorted and compared bytewise, no NUL characters."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """PostgreSQL's default collation is its database's; SQLite's is bytewise already."""
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is written or compared."""
        _ = dialect
        return None if value is None else storable(value)


class JsonWords(Words):
    """A text column that holds encoded JSON."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is written or compared."""
        _ = dialect
        return None if value is None else storable_json(storable(value))


# 64 bits on both; SQLite's INTEGER is the only type that its row numbers may have.
Whole = Integer().with_variant(BigInteger(), "postgresql")
_TYPES: dict[ColumnKind, TypeEngine[Any]] = {
    "str": Words(),
    "list": Words(),
    "int": BigInteger(),
    "float": Double(),
    "bool": Boolean(),
}


def value(given: object, kind: ColumnKind) -> ColumnElement[Any]:
    """A bound value of a kind."""
    return literal(given, _TYPES[kind])


def json_field(document: ColumnElement[Any], name: str, kind: ColumnKind) -> ColumnElement[Any]:
    """A field of a JSON object in a text column; a list as the text of its JSON array."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a field's name")
    return _FIELDS[kind](document, literal_column(name))


def json_text(document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A field that is text."""
    return json_field(document, name, "str")


def json_int(document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A field that is a whole number of 64 bits."""
    return json_field(document, name, "int")


def json_items(array: ColumnElement[Any], *, joins: bool = False) -> Any:
    """The elements of the text of a JSON array: a table with the column `value`, of text.

    `joins`: it stands beside the table that `array` is of.
    """
    return _Items(array).table_valued(column("value", Words()), joins_implicitly=joins)


def json_group(texts: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate of a text column: the text of a sorted JSON array; of no rows, `[]`."""
    return _Group(texts)


def joined(array: ColumnElement[Any]) -> ColumnElement[Any]:
    """An array's elements joined by a space; null stays null, an empty one is empty text."""
    item = json_items(array)
    whole = select(_Join(item.c.value)).select_from(item).scalar_subquery()
    return func.coalesce(whole, case((array.is_(None), None), else_=value("", "str")))


def contains(text: ColumnElement[Any], lowered: str) -> ColumnElement[bool]:
    """Whether a lowered text is in `text`, whose ASCII letters are lowered too."""
    return _Position(text, value(lowered, "str")) > 0


def ordinal(expression: ColumnElement[Any], kind: ColumnKind) -> ColumnElement[Any]:
    """What to sort by: a truth value as 0 or 1."""
    return cast(expression, Integer) if kind == "bool" else expression


class _Str(FunctionElement[str]):
    type = Words()
    inherit_cache = True


class _List(FunctionElement[str]):
    type = Words()
    inherit_cache = True


class _Int(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


class _Float(FunctionElement[float]):
    type = Double()
    inherit_cache = True


class _Bool(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True


class _Items(FunctionElement[str]):
    type = Words()
    inherit_cache = True


class _Group(FunctionElement[str]):
    type = Words()
    inherit_cache = True


class _Join(FunctionElement[str]):
    type = Words()
    inherit_cache = True


class _Position(FunctionElement[int]):
    type = Integer()
    inherit_cache = True


_FIELDS: dict[ColumnKind, type[FunctionElement[Any]]] = {
    "str": _Str,
    "list": _List,
    "int": _Int,
    "float": _Float,
    "bool": _Bool,
}
_SMALL, _LARGE = -(2**63), 2**63 - 1
# By element: what it is in SQLite, in PostgreSQL. {0} is the first argument, {1} the second.
_SQL: dict[type[FunctionElement[Any]], tuple[str, str]] = {
    _Str: (
        "CASE WHEN json_type({0}, '$.{1}') = 'text' THEN json_extract({0}, '$.{1}') END",
        (
            "CASE WHEN json_typeof({0}::json -> '{1}') = 'string'"
            " THEN ({0}::json ->> '{1}') COLLATE \"C\" END"
        ),
    ),
    _List: (
        "CASE WHEN json_type({0}, '$.{1}') = 'array' THEN json_extract({0}, '$.{1}') END",
        (
            "CASE WHEN json_typeof({0}::json -> '{1}') = 'array'"
            " THEN ({0}::json ->> '{1}') COLLATE \"C\" END"
        ),
    ),
    _Int: (
        (
            "CASE WHEN json_type({0}, '$.{1}') = 'integer'"
            " AND typeof(json_extract({0}, '$.{1}')) = 'integer'"
            " THEN json_extract({0}, '$.{1}') END"
        ),
        # The text of a JSON value: of a string it has its quotes.
        (
            "CASE WHEN ({0}::json -> '{1}')::text ~ '^-?[0-9]{{1,18}}$'"
            " THEN ({0}::json ->> '{1}')::bigint"
            " WHEN ({0}::json -> '{1}')::text ~ '^-?[0-9]{{19}}$' THEN"
            f" CASE WHEN ({{0}}::json ->> '{{1}}')::numeric BETWEEN {_SMALL} AND {_LARGE}"
            " THEN ({0}::json ->> '{1}')::bigint END END"
        ),
    ),
    _Float: (
        (
            "CASE WHEN json_type({0}, '$.{1}') IN ('integer', 'real')"
            " THEN CAST(json_extract({0}, '$.{1}') AS REAL) END"
        ),
        (
            "CASE WHEN json_typeof({0}::json -> '{1}') = 'number'"
            " THEN ({0}::json ->> '{1}')::double precision END"
        ),
    ),
    _Bool: (
        (
            "CASE WHEN json_type({0}, '$.{1}') IN ('true', 'false')"
            " THEN json_extract({0}, '$.{1}') END"
        ),
        (
            "CASE WHEN json_typeof({0}::json -> '{1}') = 'boolean'"
            " THEN ({0}::json ->> '{1}')::boolean END"
        ),
    ),
    _Items: ("json_each({0})", "json_array_elements_text(({0})::json)"),
    # The key that the rows are found by is sorted already: this SQLite orders no aggregate.
    _Group: ("json_group_array({0})", "coalesce(json_agg({0} ORDER BY {0})::text, '[]')"),
    _Join: ("group_concat({0}, ' ')", "string_agg({0}, ' ')"),
    # In collation C, `lower` knows ASCII only, as SQLite's.
    _Position: ("instr(lower({0}), {1})", 'strpos(lower(({0}) COLLATE "C"), {1})'),
}


def _said(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    arguments = [compiler.process(clause, **options) for clause in element.clauses]
    return _SQL[type(element)][compiler.dialect.name == "postgresql"].format(*arguments)


for _element in _SQL:
    compiles(_element)(_said)
