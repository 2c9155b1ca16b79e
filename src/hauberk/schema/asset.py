"""Base of every asset row, its columns, and what a collection run reports.

A subclass of `Asset` declares its columns as annotated fields; table columns, API
filters, console columns and documentation are read from the declaration::

    class OsPackage(Asset, frozen=True, kw_only=True):
        KEY = ("manager", "name", "arch")
        name: Annotated[str, column("Package", "软件包")]
        version: Annotated[str, column("Version", "版本")] = ""
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import msgspec

from .taxonomy import Title

ColumnKind = Literal["str", "int", "float", "bool", "list"]
_KINDS: dict[object, ColumnKind] = {str: "str", int: "int", float: "float", bool: "bool"}


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One inventoried thing. Fields are str, int, float, bool, list[str] or those | None.

    `KEY` names the fields that identify the row on its workload; they never change
    while the thing stays the same thing.

    `VOLATILE` names fields whose change alone is not a change of the asset (counters,
    resident size): they are refreshed but give no entry in the change log.
    """

    KEY: ClassVar[tuple[str, ...]] = ()
    VOLATILE: ClassVar[frozenset[str]] = frozenset()

    def key(self) -> str:
        """The row's natural key as text, parts joined by U+001F."""
        return "\x1f".join(str(getattr(self, name)) for name in self.KEY)


class ColumnTitle(msgspec.Struct, frozen=True):
    """What `column` attaches to a field."""

    en: str
    zh: str
    doc: str = ""
    wide: bool = False


def column(en: str, zh: str, doc: str = "", *, wide: bool = False) -> ColumnTitle:
    """Titles of a column; `wide` columns are shown in the detail, not in the table."""
    return ColumnTitle(en, zh, doc, wide)


class Column(msgspec.Struct, frozen=True):
    """One column as the API, the console and the docs see it."""

    name: str
    kind: ColumnKind
    title: Title
    optional: bool = False
    doc: str = ""
    wide: bool = False


def columns_of(struct: type[msgspec.Struct]) -> tuple[Column, ...]:
    """The columns that a Struct declares, in order.

    Raises:
        TypeError: a field has no `column(...)` or a type that the wire cannot carry.
    """
    hints = get_type_hints(struct, include_extras=True)
    return tuple(_column(name, hints[name], struct) for name in struct.__struct_fields__)


def _column(name: str, hint: Any, struct: type) -> Column:
    title: ColumnTitle | None = None
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        title = next((e for e in extras if isinstance(e, ColumnTitle)), None)
    if title is None:
        raise TypeError(f"{struct.__name__}.{name}: declare it as Annotated[..., column(en, zh)]")
    members = get_args(hint) if type(None) in get_args(hint) else ()
    optional = bool(members)
    if optional:
        hint = next(m for m in members if m is not type(None))
    kind: ColumnKind | None = "list" if get_origin(hint) in (list, tuple) else _KINDS.get(hint)
    if kind is None:
        raise TypeError(f"{struct.__name__}.{name}: {hint} is not str, int, float, bool or list")
    return Column(name, kind, Title(title.en, title.zh), optional, title.doc, title.wide)


Outcome = Literal["ok", "partial", "not_applicable", "error"]


class Problem(msgspec.Struct, frozen=True):
    """Something that could not be looked at: where, what is wrong, what mends it."""

    where: str
    what: str


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """The proof that a subclass was looked at: without one it is "not assessed".

    `ended_ns` is the agent's wall clock; `cpu_s` CPU-seconds; `epoch` ties the rows of one full
    snapshot together.
    """

    subclass: str
    outcome: Outcome
    rows: int
    epoch: int
    ended_ns: int
    cpu_s: float = 0.0
    problems: list[Problem] = []
    full: bool = True


RelationKind = Literal[
    "runs_on", "listens", "connects", "loads", "owns", "built_from", "exposes", "parent_of"
]


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A typed edge between two assets of one workload; keys are `Asset.key()`."""

    kind: RelationKind
    src_subclass: str
    src_key: str
    dst_subclass: str
    dst_key: str
    evidence: str = ""


class RoleTag(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload is for, why we think so, and how sure we are (0..100)."""

    role: str
    title: Title
    confidence: int
    evidence: list[str] = []
