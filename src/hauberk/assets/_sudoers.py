"""Parser of sudoers files with their includes; says file and line of every rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

from ._machine import hostname

MAX_FILES = 256
MAX_DEPTH = 16
MAX_RULES = 20_000
FILE_LIMIT = 1 << 20
LINE_LIMIT = 1 << 16
_INCLUDE = re.compile(r"[@#](include|includedir)\s+(.+)")
_QUOTED = re.compile(r'"([^"]*)"')
_ALIAS = re.compile(r"(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.*)", re.DOTALL)
_DEFAULTS = re.compile(r"Defaults(\S*)\s*(.*)", re.DOTALL)
_ALIAS_PART = re.compile(r"\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*)", re.DOTALL)


class SudoEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`kind`: rule, alias or defaults. `principals` as written (%group, ALIAS, #uid, !name)."""

    kind: str
    principals: list[str]
    hosts: list[str] = []
    text: str
    source: str
    line: int


def read_sudoers(host: Host, notes: Notes, path: str = "/etc/sudoers") -> list[SudoEntry]:
    """Every entry of `path` and what it includes. Raises PathMissing when there is no `path`."""
    reader = _Reader(host, notes)
    reader.file(path, 0)
    return reader.entries


class _Reader:
    def __init__(self, host: Host, notes: Notes) -> None:
        self.entries: list[SudoEntry] = []
        self._host = host
        self._notes = notes
        self._files = 0

    def file(self, path: str, depth: int) -> None:
        self._files += 1
        if depth > MAX_DEPTH or self._files > MAX_FILES:
            self._notes.add(path, "too many nested includes: sudo refuses this too")
            return
        text = from_bytes(self._host.read(path, limit=FILE_LIMIT))
        for number, line in logical_lines(text):
            if len(line) > LINE_LIMIT:
                self._notes.add(f"{path}:{number}", f"longer than {LINE_LIMIT} characters")
                continue
            include = _INCLUDE.fullmatch(line)
            if include:
                self._include(include[1], include[2].strip().strip('"'), path, number, depth)
            elif not line.startswith("#") or re.match(r"#-?\d", line):
                self._entry(line, path, number)

    def _include(self, kind: str, target: str, path: str, number: int, depth: int) -> None:
        target = target.replace("%h", hostname(self._host).partition(".")[0]).replace("\\ ", " ")
        if not target.startswith("/"):
            target = f"{path.rpartition('/')[0]}/{target}"
        try:
            if kind == "include":
                self.file(target, depth + 1)
                return
            for name in self._host.listdir(target):
                # sudo leaves out backup files and names of package managers.
                if "." not in name and not name.endswith("~"):
                    self.file(f"{target}/{name}", depth + 1)
        except PathMissing:
            if kind == "include":
                self._notes.add(f"{path}:{number}", f"included file {target} does not exist")
        except HostError as error:
            self._notes.add(f"{path}:{number}", error)

    def _entry(self, line: str, path: str, number: int) -> None:
        if len(self.entries) >= MAX_RULES:
            self._notes.add(f"{path}:{number}", f"more than {MAX_RULES} rules")
            return
        entries = list(parse_entry(line, path, number))
        if not entries:
            self._notes.add(f"{path}:{number}", "not a sudoers rule")
        self.entries += entries


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, joined line) without blank lines and trailing comments."""
    held = ""
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not held:
            start = number
        if line.endswith("\\") and len(held) < FILE_LIMIT:
            held += line[:-1] + " "
            continue
        whole = (held + line).strip()
        if len(whole) <= LINE_LIMIT:
            whole = _uncomment(whole)
        held = ""
        if whole:
            yield start, whole
    if held.strip():
        yield start, held.strip()


def _uncomment(line: str) -> str:
    """Without a trailing comment; `#1000` (a uid) and #include at the start stay."""
    if _INCLUDE.fullmatch(line):
        return line
    if line.startswith("#") and not re.match(r"#-?\d", line):
        return ""
    for hit in re.finditer(r"(?<![\\\S])#(?!\d)", line):
        if line[: hit.start()].count('"') % 2 == 0:
            return line[: hit.start()].strip()
    return line


def parse_entry(line: str, source: str, number: int) -> Iterator[SudoEntry]:
    """The entries of one logical line; none when it is no sudoers line."""
    defaults = _DEFAULTS.fullmatch(line)
    if defaults:
        yield SudoEntry(
            kind="defaults", principals=[defaults[1]], text=defaults[2], source=source, line=number
        )
        return
    alias = _ALIAS.fullmatch(line)
    if alias:
        for part in _split(alias[2], ":"):
            named = _ALIAS_PART.fullmatch(part)
            if named:
                yield SudoEntry(
                    kind="alias",
                    principals=[named[1]],
                    hosts=[alias[1]],
                    text=_squeeze(named[2]),
                    source=source,
                    line=number,
                )
        return
    left, equals, rest = _cut(line)
    if not equals:
        return
    # Escaped spaces and those in quotes belong to a name.
    kept = _QUOTED.sub(lambda m: m[1].replace(" ", "\x00"), left.replace("\\ ", "\x00"))
    words = re.sub(r"\s*,\s*", ",", kept.strip())
    users, _, hosts = words.replace("\t", " ").partition(" ")
    if not hosts.strip():
        return
    principals = [p.replace("\x00", " ") for p in users.split(",") if p]
    # "host = commands : host = commands" share their users.
    first, *others = _split(rest, ":")
    specs = [(hosts.strip(), first)]
    for other in others:
        host, mark, commands = _cut(other)
        if mark:
            specs.append((host.strip(), commands))
        else:
            specs[-1] = (specs[-1][0], f"{specs[-1][1]}:{other}")
    for names, commands in specs:
        yield SudoEntry(
            kind="rule",
            principals=principals,
            hosts=[h for h in names.split(",") if h],
            text=_squeeze(commands),
            source=source,
            line=number,
        )


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str) -> tuple[str, str, str]:
    """Partition at the first `=` that is neither escaped nor quoted."""
    quoted = False
    for pos, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "=" and not quoted and (pos == 0 or text[pos - 1] != "\\"):
            return text[:pos], "=", text[pos + 1 :]
    return text, "", ""


def _split(text: str, mark: str) -> list[str]:
    """Split at `mark` outside of parentheses and quotes, not escaped, not the colon of a tag."""
    parts = [""]
    quoted = False
    depth = 0
    for pos, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "(":
            depth += 1
        elif char == ")":
            depth = max(0, depth - 1)
        escaped = pos > 0 and text[pos - 1] == "\\"
        if char == mark and not (quoted or depth or escaped or _is_tag(parts[-1])):
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _is_tag(before: str) -> bool:
    word = re.split(r"[\s,)=]", before[-32:])[-1]
    return word in _TAGS or word.lower() in ("sha224", "sha256", "sha384", "sha512")


_TAGS = frozenset(
    {"EXEC", "NOEXEC", "FOLLOW", "NOFOLLOW", "LOG_INPUT", "NOLOG_INPUT", "LOG_OUTPUT"}
    | {"NOLOG_OUTPUT", "MAIL", "NOMAIL", "INTERCEPT", "NOINTERCEPT", "PASSWD", "NOPASSWD"}
    | {"SETENV", "NOSETENV"}
)
