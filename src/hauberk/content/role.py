"""Role files: what a workload is for, and by which evidence it is recognised.

One YAML a role::

    id: redis                       # file name without .yaml
    title: {en: Redis server, zh: Redis 服务器}
    category: cache
    evidence:                       # each: a weight 1..100 and exactly one kind
      - {weight: 70, process: {name: [redis-server]}}
      - {weight: 40, package: {dpkg: [redis-server], rpm: [redis], apk: [redis]}}
      - {weight: 15, port: {tcp: [6379], process: [redis-server]}}
      - {weight: 25, unit: [redis-server.service]}
      - {weight: 15, path: [/etc/redis/redis.conf]}
      - {weight: 60, image: ['(^|/)redis(:|@|$)']}
      - {weight: 30, row: {subclass: os.module, field: name, matches: '^kvm$'}}
    implies: []                     # roles that a workload then has as well
    excludes: []                    # roles that it cannot have then (the surer one stays)
    tests: {positive: [...], negative: [...]}

How evidence becomes a confidence: engines/inventory/roles.py.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from hauberk.content.document import Document, load
from hauberk.schema.taxonomy import SUBCLASSES, Title

CATEGORIES = (
    "web",
    "database",
    "cache",
    "queue",
    "container",
    "network",
    "file",
    "mail",
    "identity",
    "security",
    "management",
    "observability",
    "development",
    "application",
    "virtualisation",
    "desktop",
)
ROLE_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
MAX_PATTERN = 500

Weight = Annotated[int, msgspec.Meta(ge=1, le=100)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An unknown field is an error: a misspelt one would be evidence that never counts."""


class ProcessEvidence(_Part, frozen=True, kw_only=True):
    """One process that meets all that is given. `exe` and `argv` are regular expressions.

    `name` is the task's name, or the last part of its executable or of its argv[0]; `argv` is
    searched in the arguments joined by single spaces.
    """

    name: list[str] = []
    exe: str = ""
    argv: str = ""


class PortEvidence(_Part, frozen=True, kw_only=True):
    """A listening port of these numbers, held by one of `process` if any are named."""

    tcp: list[Port] = []
    udp: list[Port] = []
    process: list[str] = []


class PackageEvidence(_Part, frozen=True, kw_only=True):
    """An installed package of one of these names; `*` stands for any text."""

    dpkg: list[str] = []
    rpm: list[str] = []
    apk: list[str] = []


class RowEvidence(_Part, frozen=True, kw_only=True):
    """A row of `subclass` whose text `field` the regular expression is found in."""

    subclass: str
    field: str
    matches: str


class Evidence(_Part, frozen=True, kw_only=True):
    """One piece of evidence: `weight` (1..100) and exactly one of the kinds."""

    weight: Weight
    process: ProcessEvidence | None = None
    port: PortEvidence | None = None
    package: PackageEvidence | None = None
    unit: list[str] | None = None
    path: list[str] | None = None
    image: list[str] | None = None
    row: RowEvidence | None = None


EVIDENCE_KINDS = ("process", "port", "package", "unit", "path", "image", "row")


class RoleCase(_Part, frozen=True, kw_only=True):
    """A fixture: rows by subclass, and paths that exist."""

    name: str
    rows: dict[str, list[dict[str, Any]]] = {}
    paths: list[str] = []


class RoleCases(_Part, frozen=True, kw_only=True):
    """At least one fixture that has the role and one that looks alike and has not."""

    positive: Annotated[list[RoleCase], msgspec.Meta(min_length=1)]
    negative: Annotated[list[RoleCase], msgspec.Meta(min_length=1)]


class RoleTitle(_Part, frozen=True, kw_only=True):
    """Both languages."""

    en: Annotated[str, msgspec.Meta(min_length=2, max_length=60)]
    zh: Annotated[str, msgspec.Meta(min_length=2, max_length=40)]


class RoleFile(_Part, frozen=True, kw_only=True):
    """The file as it stands."""

    id: Annotated[str, msgspec.Meta(max_length=60)]
    title: RoleTitle
    category: str
    evidence: Annotated[list[Evidence], msgspec.Meta(min_length=1, max_length=40)]
    tests: RoleCases
    threshold: Weight = 50
    implies: list[str] = []
    excludes: list[str] = []


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role that passed all checks of one file."""

    id: str
    title: Title
    category: str
    threshold: int
    evidence: tuple[Evidence, ...]
    implies: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    tests: RoleCases
    source: str = ""


def parse(source: str, data: bytes) -> Role:
    """Read one role file.

    Args:
        source: its path, whose last part must be `ID.yaml`.
        data: its bytes.

    Raises:
        BadContent: what is wrong, in which line, and what mends it.
    """
    document = load(source, data)
    file = document.convert(RoleFile)
    _check_head(document, file)
    for index, evidence in enumerate(file.evidence):
        _check_evidence(document, index, evidence)
    for kind in ("positive", "negative"):
        for index, case in enumerate(getattr(file.tests, kind)):
            for subclass in case.rows:
                if subclass not in SUBCLASSES:
                    raise document.error(
                        ("tests", kind, index, "rows", subclass), f"no subclass {subclass!r}"
                    )
    return Role(
        id=file.id,
        title=Title(file.title.en, file.title.zh),
        category=file.category,
        threshold=file.threshold,
        evidence=tuple(file.evidence),
        implies=tuple(file.implies),
        excludes=tuple(file.excludes),
        tests=file.tests,
        source=source,
    )


def _check_head(document: Document, file: RoleFile) -> None:
    if not ROLE_ID.match(file.id):
        raise document.error(("id",), f"id {file.id!r}: lower-case words joined by hyphens")
    stem = document.source.rpartition("/")[2].rpartition(".")[0]
    if stem != file.id:
        raise document.error(("id",), f"id {file.id!r} in a file named {stem!r}: make them equal")
    if file.category not in CATEGORIES:
        raise document.error(
            ("category",), f"category {file.category!r}: one of {', '.join(CATEGORIES)}"
        )
    if not any("\u4e00" <= char <= "\u9fff" or char.isascii() for char in file.title.zh):
        raise document.error(("title", "zh"), "the Chinese title holds no Chinese")
    for field in ("implies", "excludes"):
        if file.id in getattr(file, field):
            raise document.error((field,), f"a role that {field} itself")
    if both := set(file.implies) & set(file.excludes):
        raise document.error(("excludes",), f"implies and excludes {min(both)!r}")


def _check_evidence(document: Document, index: int, evidence: Evidence) -> None:
    given = [kind for kind in EVIDENCE_KINDS if getattr(evidence, kind) is not None]
    where: tuple[str | int, ...] = ("evidence", index)
    if len(given) != 1:
        raise document.error(
            where,
            f"{len(given)} kinds of evidence; give exactly one of {', '.join(EVIDENCE_KINDS)}",
        )
    kind = given[0]
    part = getattr(evidence, kind)
    if isinstance(part, list):
        empty = not part or not all(part)
    else:
        empty = not any(getattr(part, field) for field in part.__struct_fields__)
    if empty:
        raise document.error((*where, kind), f"empty {kind} evidence matches nothing or everything")
    if isinstance(part, PortEvidence) and not (part.tcp or part.udp):
        raise document.error((*where, kind), "port evidence names tcp or udp ports")
    if isinstance(part, RowEvidence) and part.subclass not in SUBCLASSES:
        raise document.error((*where, kind, "subclass"), f"no subclass {part.subclass!r}")
    if kind == "path" and not all(path.startswith("/") for path in part):
        raise document.error((*where, kind), "paths are absolute")
    for field, pattern in _patterns(kind, part):
        _check_pattern(document, (*where, kind, *field), pattern)


def _patterns(kind: str, part: Any) -> list[tuple[tuple[str | int, ...], str]]:
    if kind == "image":
        return [((index,), pattern) for index, pattern in enumerate(part)]
    if isinstance(part, ProcessEvidence):
        return [(("exe",), part.exe), (("argv",), part.argv)]
    return [(("matches",), part.matches)] if isinstance(part, RowEvidence) else []


# A repeated group with a repetition inside is how a pattern comes to take for ever.
_NESTED_REPEAT = re.compile(r"\((?:[^()\\]|\\.)*(?<!\\)[*+}](?:[^()\\]|\\.)*\)\s*[*+{]")


def _check_pattern(document: Document, where: tuple[str | int, ...], pattern: str) -> None:
    if len(pattern) > MAX_PATTERN:
        raise document.error(where, f"pattern longer than {MAX_PATTERN} characters")
    if _NESTED_REPEAT.search(pattern):
        raise document.error(where, "a repetition of a repetition can take for ever; write it flat")
    try:
        re.compile(pattern)
    except re.error as error:
        raise document.error(where, f"pattern {pattern!r}: {error}") from error


def lint(roles: list[Role]) -> list[str]:
    """What is wrong with a set of roles that each are fine alone; empty when nothing is."""
    problems: list[str] = []
    by_id: dict[str, Role] = {}
    titles: dict[str, str] = {}
    for role in roles:
        if role.id in by_id:
            problems.append(f"{role.source}: id {role.id!r} is that of {by_id[role.id].source} too")
        by_id.setdefault(role.id, role)
        problems += [
            f"{role.source}: title {title!r} is that of {titles[title.casefold()]} too"
            for title in (role.title.en, role.title.zh)
            if titles.setdefault(title.casefold(), role.id) != role.id
        ]
    for role in roles:
        problems += [
            f"{role.source}: names {other!r}, which is no role"
            for other in (*role.implies, *role.excludes)
            if other not in by_id
        ]
        if role.id in _implied(role.id, by_id):
            problems.append(f"{role.source}: implies itself through others")
    return problems


def _implied(start: str, by_id: dict[str, Role]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        role = by_id.get(todo.pop())
        for other in role.implies if role else ():
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen
