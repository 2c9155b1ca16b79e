"""Role tags: what a workload is for, from its assets, with evidence and confidence.

**Confidence.** Each piece of evidence of a role counts once, however often it is found. Pieces are
taken as independent: the confidence is ``100 * (1 - product(1 - weight/100))``, rounded to the
nearest whole number and at most 99 unless one piece weighs 100. A role whose confidence is below
its `threshold` is not given.

**Installed is not running.** Packages, unit files and paths only prove that something is installed:
together they never give more than 59. 60 and above needs something that runs (a process, a port,
the image of a running container) or a fact of the machine (a row of any subclass).

**Conflicts.** Roles over their thresholds are taken in order of falling confidence, then of id. One
that excludes, or is excluded by, a role taken before is dropped. Then each role taken gives the
roles that it implies, at no more than its own confidence, unless they conflict with one taken.

**Containers.** Processes and sockets inside of containers say nothing of the machine itself; its
running containers do so by their images.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from hauberk.content.role import (
    Evidence,
    PackageEvidence,
    PortEvidence,
    ProcessEvidence,
    Role,
    RowEvidence,
)
from hauberk.engines.inventory.join import CONTAINER, PACKAGE, PORT, PROCESS, SERVICE, field_of
from hauberk.errors import HostError
from hauberk.schema.asset import Asset, RoleTag

MAX_EVIDENCE = 16
MAX_INSTALLED = 59
MAX_ARGV = 16_384  # characters; bounds what a pattern can be made to cost
_COMM = 15  # the kernel cuts task names
_INSTALLED = frozenset({"", "installed", "unpacked", "half-configured", "triggers-pending"})
Exists = Callable[[str], bool]


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


class _Process:
    """What evidence asks of a process."""

    __slots__ = ("argv", "exe", "names")

    def __init__(self, row: Asset) -> None:
        arguments = field_of(row, "argv", list[str]())
        self.exe = field_of(row, "exe", "")
        line = " ".join(arguments)
        # A long class path stands in the middle: what tells programs apart is at the ends.
        half = MAX_ARGV // 2
        self.argv = line if len(line) <= MAX_ARGV else f"{line[:half]} {line[-half:]}"
        # `nginx: master process ...` and `sshd: user` rewrite their arguments.
        first = arguments[0].split(" ", 1)[0].rstrip(":") if arguments else ""
        self.names = {
            field_of(row, "name", ""),
            self.exe.rpartition("/")[2],
            first.rpartition("/")[2],
        } - {""}


class _Facts:
    """The snapshot, indexed once for all roles."""

    def __init__(self, snapshot: Mapping[str, Sequence[Asset]], exists: Exists | None) -> None:
        self.snapshot = snapshot
        self.exists = exists
        self.processes = [
            _Process(row)
            for row in snapshot.get(PROCESS, ())
            if not field_of(row, "container", "") and not field_of(row, "kernel", False)  # noqa: FBT003
        ]
        self.by_name: dict[str, list[_Process]] = {}
        for process in self.processes:
            for name in process.names:
                self.by_name.setdefault(name, []).append(process)
        self.ports: dict[tuple[str, int], list[Asset]] = {}
        for row in snapshot.get(PORT, ()):
            if not field_of(row, "container", ""):
                place = field_of(row, "protocol", ""), field_of(row, "port", 0)
                self.ports.setdefault(place, []).append(row)
        self.packages: dict[str, dict[str, str]] = {}
        for row in snapshot.get(PACKAGE, ()):
            if field_of(row, "status", "") in _INSTALLED:
                names = self.packages.setdefault(field_of(row, "manager", ""), {})
                names[field_of(row, "name", "")] = field_of(row, "version", "")
        self.units = {
            field_of(row, "name", "") for row in snapshot.get(SERVICE, ()) if not _switched_off(row)
        }
        self.images = sorted(
            {
                field_of(row, "image", "")
                for row in snapshot.get(CONTAINER, ())
                if field_of(row, "state", "running") in ("running", "")
            }
            - {""}
        )

    def named(self, name: str) -> list[_Process]:
        """Processes of a name, also where the kernel cut it."""
        found = self.by_name.get(name, [])
        return found or (self.by_name.get(name[:_COMM], []) if len(name) > _COMM else [])


def _switched_off(row: Asset) -> bool:
    """A unit that is neither enabled nor running is only a file."""
    off = field_of(row, "state", "") in ("disabled", "masked")
    return off and not field_of(row, "active", False)  # noqa: FBT003


def tags(
    snapshot: Mapping[str, Sequence[Asset]],
    roles: Iterable[Role],
    *,
    exists: Exists | None = None,
) -> list[RoleTag]:
    """The roles of the workload that `snapshot` describes.

    Args:
        snapshot: subclass -> rows; subclasses may be missing.
        roles: the known roles; of equal ids the last counts (an operator's own replaces ours).
        exists: tells whether a path exists (`Host.exists`); without it, and where it raises
            HostError, paths are no evidence.

    Returns:
        Tags by falling confidence, then id. Evidence is text without pids or times, so that a
        tag only changes when its reasons do.
    """
    facts = _Facts(snapshot, exists)
    known = {role.id: role for role in roles}
    scored: list[RoleTag] = []
    for role in known.values():
        tag = _score(role, facts)
        if tag.confidence >= role.threshold:
            scored.append(tag)
    taken: dict[str, RoleTag] = {}
    for tag in sorted(scored, key=_order):
        if not _conflicts(known, tag.role, taken):
            taken[tag.role] = tag
    _imply(known, taken)
    return sorted(taken.values(), key=_order)


def _order(tag: RoleTag) -> tuple[int, str]:
    return -tag.confidence, tag.role


def _score(role: Role, facts: _Facts) -> RoleTag:
    found: list[str] = []
    doubt = 1.0
    certain = alive = False
    for evidence in role.evidence:
        reasons = list(dict.fromkeys(_reasons(evidence, facts)))
        if reasons:
            found += reasons[:3]
            doubt *= 1 - evidence.weight / 100
            certain = certain or evidence.weight == 100
            alive = alive or not _only_installed(evidence)
    confidence = 100 if certain else min(99, round(100 * (1 - doubt)))
    if not alive:
        confidence = min(confidence, MAX_INSTALLED)
    return RoleTag(
        role=role.id, title=role.title, confidence=confidence, evidence=found[:MAX_EVIDENCE]
    )


def _only_installed(evidence: Evidence) -> bool:
    """Whether it says no more than that files are there."""
    return bool(evidence.package or evidence.unit or evidence.path)


def _conflicts(known: Mapping[str, Role], role: str, taken: Iterable[str]) -> bool:
    mine = known[role].excludes if role in known else ()
    return any(other in mine or role in known[other].excludes for other in taken)


def _imply(known: Mapping[str, Role], taken: dict[str, RoleTag]) -> None:
    todo = sorted(taken.values(), key=_order)
    while todo:
        tag = todo.pop(0)
        for other in known[tag.role].implies:
            role = known.get(other)
            has = taken.get(other)
            if role is None or (has is not None and has.confidence >= tag.confidence):
                continue
            if has is None and _conflicts(known, other, taken):
                continue
            taken[other] = RoleTag(
                role=other,
                title=role.title,
                confidence=tag.confidence,
                evidence=[*(has.evidence if has else []), f"role {tag.role}"][:MAX_EVIDENCE],
            )
            todo.append(taken[other])


def _reasons(evidence: Evidence, facts: _Facts) -> Iterator[str]:
    """What is found of one piece of evidence, as text."""
    if evidence.process is not None:
        yield from _process(evidence.process, facts)
    elif evidence.port is not None:
        yield from _port(evidence.port, facts)
    elif evidence.package is not None:
        yield from _package(evidence.package, facts)
    elif evidence.unit is not None:
        yield from (f"unit {unit}" for unit in evidence.unit if unit in facts.units)
    elif evidence.path is not None:
        yield from (f"path {path}" for path in evidence.path if _there(facts.exists, path))
    elif evidence.image is not None:
        patterns = [_regex(pattern) for pattern in evidence.image]
        yield from (
            f"image {image}"
            for image in facts.images
            if any(pattern.search(image) for pattern in patterns)
        )
    elif evidence.row is not None:
        yield from _row(evidence.row, facts)


def _process(wanted: ProcessEvidence, facts: _Facts) -> Iterator[str]:
    candidates: Iterable[_Process] = facts.processes
    if wanted.name:
        candidates = [process for name in wanted.name for process in facts.named(name)]
    for process in candidates:
        if wanted.exe and not _regex(wanted.exe).search(process.exe):
            continue
        match = _regex(wanted.argv).search(process.argv) if wanted.argv else None
        if wanted.argv and match is None:
            continue
        name = process.exe or min(process.names, default="")
        yield f"process {name} ({match[0]})"[:200] if match else f"process {name}"


def _port(wanted: PortEvidence, facts: _Facts) -> Iterator[str]:
    for protocol, numbers in (("tcp", wanted.tcp), ("udp", wanted.udp)):
        for number in numbers:
            for row in facts.ports.get((protocol, number), ()):
                name = field_of(row, "name", "")
                program = field_of(row, "exe", "").rpartition("/")[2]
                cut = [other[:_COMM] for other in wanted.process]
                if not wanted.process or name[:_COMM] in cut or program in wanted.process:
                    yield f"port {protocol}/{number} {name}".rstrip()


def _package(wanted: PackageEvidence, facts: _Facts) -> Iterator[str]:
    for manager in ("dpkg", "rpm", "apk"):
        installed = facts.packages.get(manager, {})
        for pattern in getattr(wanted, manager) if installed else ():
            if "*" not in pattern:
                names = [pattern] if pattern in installed else []
            else:
                regex = _regex(".*".join(map(re.escape, pattern.split("*"))) + r"\Z")
                names = sorted(name for name in installed if regex.match(name))
            yield from (f"package {manager} {name} {installed[name]}".rstrip() for name in names)


def _there(exists: Exists | None, path: str) -> bool:
    if exists is None:
        return False
    try:
        return exists(path)
    except HostError:  # cannot tell: no evidence either way
        return False


def _row(wanted: RowEvidence, facts: _Facts) -> Iterator[str]:
    pattern = _regex(wanted.matches)
    for row in facts.snapshot.get(wanted.subclass, ()):
        value = getattr(row, wanted.field, "")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and pattern.search(text):
                yield f"{wanted.subclass} {wanted.field} {text}"[:200]
