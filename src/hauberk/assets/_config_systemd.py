"""systemd's unit files: load paths with their precedence, drop-ins, links, and the file format."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

from . import _config

SYSTEM_PATHS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
USER_PATHS = (
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
)
HOME_PATHS = (".config/systemd/user", ".local/share/systemd/user")
UNIT_LIMIT = 256 * 1024
MAX_UNITS = 20_000
_LINKS = (".wants", ".requires", ".upholds")

Entry = tuple[str, str, str]


@dataclass(slots=True)
class Unit:
    """A unit as its load paths define it.

    `path` is the file or link that wins; `entries` are (section, key, value) of it and then of
    its drop-ins; `enabled_by` the units whose .wants and the like hold it; `instances` names of
    a template that are linked somewhere.
    """

    name: str
    path: str
    masked: bool = False
    alias_of: str = ""
    raw: bytes = b""
    entries: list[Entry] = field(default_factory=list)
    drop_ins: list[str] = field(default_factory=list)
    enabled_by: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)

    def values(self, section: str, key: str) -> list[str]:
        """Values in order; an empty assignment clears what stood before it."""
        found: list[str] = []
        for where, name, value in self.entries:
            if where == section and name == key:
                found = [*found, value] if value else []
        return found

    def value(self, section: str, key: str) -> str:
        """The last value, or ""."""
        found = self.values(section, key)
        return found[-1] if found else ""

    def has(self, section: str) -> bool:
        """Whether the section holds any setting."""
        return any(where == section for where, _, _ in self.entries)


def parse_unit(content: str) -> list[Entry]:
    """(section, key, value) in order; a line that ends in a backslash goes on in the next."""
    found: list[Entry] = []
    section, pending = "", ""
    for raw in content.split("\n", _config.MAX_LINES)[: _config.MAX_LINES]:
        line = raw.strip()
        if pending and line.startswith(("#", ";")):
            continue
        if len(pending) < _config.LINE_LIMIT:
            line = f"{pending} {line}".strip() if pending else line
        pending = ""
        if line.startswith(("#", ";")) or not line:
            continue
        if line.endswith("\\"):
            pending = line[:-1].rstrip()
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if equals and section:
            found.append((section, key.strip(), value.strip()[: _config.LINE_LIMIT]))
    return found


def template_of(name: str) -> str:
    """`a@b.service` -> `a@.service`; "" for anything else."""
    stem, dot, suffix = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@{dot}{suffix}" if at and instance else ""


class Units:
    """All units below some load paths, read on demand."""

    def __init__(self, host: Host, notes: Notes, paths: tuple[str, ...]) -> None:
        self._host = host
        self._notes = notes
        self._where: dict[str, str] = {}
        self._drop_ins: dict[str, dict[str, str]] = {}
        self._enabled: dict[str, list[str]] = {}
        for folder in self._folders(paths):
            self._index(folder)

    def _folders(self, paths: tuple[str, ...]) -> Iterator[str]:
        # On merged-/usr systems /lib is a link: the same folder must not count twice.
        merged = bool(_config.link(self._host, "/lib"))
        return (p for p in paths if not (merged and p.startswith("/lib/")))

    def _index(self, folder: str) -> None:
        for name in _config.names(self._host, folder, self._notes):
            path = f"{folder}/{name}"
            if name.endswith(".d"):
                for part in _config.names(self._host, path, self._notes):
                    if part.endswith(".conf"):
                        self._drop_ins.setdefault(name[:-2], {}).setdefault(part, f"{path}/{part}")
            elif name.endswith(_LINKS):
                wanting = name.rpartition(".")[0]
                for unit in _config.names(self._host, path, self._notes):
                    self._enabled.setdefault(unit, []).append(wanting)
            elif len(self._where) < MAX_UNITS:
                self._where.setdefault(name, path)
            else:
                self._notes.add(
                    folder, f"more than {MAX_UNITS} units; the rest is left out", hides=True
                )
                return

    def names(self, suffixes: tuple[str, ...]) -> list[str]:
        """Names of units, linked instances of templates included."""
        instances = (n for n in self._enabled if template_of(n) in self._where)
        return sorted(n for n in {*self._where, *instances} if n.endswith(suffixes))

    def get(self, name: str) -> Unit | None:
        """Read one unit with its drop-ins; None when no load path has it."""
        template = template_of(name)
        path = self._where.get(name) or self._where.get(template)
        if path is None:
            return None
        unit = Unit(name, path, enabled_by=sorted(set(self._enabled.get(name, ()))))
        target = _config.link(self._host, path)
        if target == "/dev/null":
            unit.masked = True
            return unit
        base = posixpath.basename(target)
        if target and base not in (name, template):
            unit.alias_of = base
        raw = _config.read(self._host, path, self._notes, UNIT_LIMIT)
        unit.raw = raw or b""
        unit.masked = raw == b""
        unit.entries = parse_unit(from_bytes(unit.raw))
        for part in self._parts(name, template):
            unit.drop_ins.append(part)
            content = _config.text(self._host, part, self._notes, UNIT_LIMIT)
            unit.entries += parse_unit(content or "")
        return unit

    def _parts(self, name: str, template: str) -> list[str]:
        """Drop-ins by file name; the more specific folder wins for equal names."""
        kind = name.rpartition(".")[2]
        stem = name.rpartition(".")[0].split("@")[0]
        keys = [kind]
        dashes = [i for i, c in enumerate(stem[:-1]) if c == "-"]
        keys += [f"{stem[: at + 1]}.{kind}" for at in dashes]
        keys += [k for k in (template, name) if k]
        merged: dict[str, str] = {}
        for key in keys:
            merged.update(self._drop_ins.get(key, {}))
        return [merged[k] for k in sorted(merged)]


def scopes(host: Host, notes: Notes) -> Iterator[tuple[str, Units]]:
    """("system", ...), ("user", ...) for all users, and ("user:NAME", ...) for homes with units."""
    yield "system", Units(host, notes, SYSTEM_PATHS)
    yield "user", Units(host, notes, USER_PATHS)
    for account in _config.homes(host, notes):
        folders = tuple(f"{account.home}/{p}" for p in HOME_PATHS)
        if any(_config.names(host, f, notes) for f in folders):
            yield f"user:{account.name}", Units(host, notes, folders)
