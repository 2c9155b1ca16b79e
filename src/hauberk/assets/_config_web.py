"""Configuration of nginx and Apache: what they are known by, and their directives with lines."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from hauberk.ports import Host, Notes

from . import _config
from ._config_apps import App

MAX_FILES = 500
MAX_DEPTH = 32
MAX_WORDS = 250_000
MAX_NESTING = 64
MAX_ARGS = 256

NGINX = App(
    name="nginx",
    exes=r"nginx(-debug)?",
    files=("/usr/sbin/nginx", "/usr/local/nginx/sbin/nginx", "/usr/local/sbin/nginx",
           "/opt/nginx/sbin/nginx"),
    version=rb"nginx/(\d{1,6}\.\d{1,6}\.\d{1,6})",
    packages=("nginx-core", "nginx-light", "nginx-full", "nginx-extras", "nginx"),
    configs=("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf",
             "/usr/local/etc/nginx/nginx.conf", "/opt/nginx/conf/nginx.conf"),
    options={"-c": "config"},
    keys={"user": "user"},
)  # fmt: skip
OPENRESTY = App(
    name="OpenResty",
    exes=r"nginx|openresty",
    marks=("openresty",),
    files=("/usr/local/openresty/nginx/sbin/nginx",),
    version=rb"openresty/(\d{1,6}\.\d{1,6}\.\d{1,6}\.\d{1,6})",
    packages=("openresty",),
    configs=("/usr/local/openresty/nginx/conf/nginx.conf",),
    options={"-c": "config"},
    keys={"user": "user"},
)
APACHE = App(
    name="Apache httpd",
    exes=r"apache2|httpd(\.worker|\.event)?",
    files=("/usr/sbin/apache2", "/usr/sbin/httpd", "/usr/local/apache2/bin/httpd"),
    version=rb"Apache/(\d{1,6}\.\d{1,6}\.\d{1,6})",
    packages=("apache2-bin", "apache2"),
    configs=("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf",
             "/usr/local/apache2/conf/httpd.conf", "/etc/apache2/httpd.conf"),
    options={"-f": "config"},
)  # fmt: skip


class Directive(NamedTuple):
    """One directive. `block` numbers the block it stands in (0: top), `opens` the one it opens."""

    name: str
    args: list[str]
    file: str
    line: int
    block: int
    opens: int = 0


# A comment, a mark, a quoted or a bare word (which may hold ${variables} and escapes), a line end.
_NGINX_TOKEN = re.compile(
    r"""\#[^\n]*|[;{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
    r"""|(?:\$\{[^}\n]{0,64}\}|\\.|[^\s;{}"'\\])(?:\$\{[^}\n]{0,64}\}|\\.|[^\s;{}\\])*|\n""",
    re.DOTALL,
)


class _Reader:
    """Shared bounds of one configuration: files read so far, next block number."""

    def __init__(self, host: Host, notes: Notes, base: str) -> None:
        self.host, self.notes, self.base = host, notes, base
        self.files = 0
        self.blocks = 0
        self.words = 0
        self.active: set[str] = set()

    def content(self, path: str) -> str | None:
        """Text of a file once more below MAX_FILES; includes that include themselves end."""
        if path in self.active or len(self.active) >= MAX_DEPTH:
            self.notes.add(path, "included by itself or too deep; left out")
            return None
        if self.files >= MAX_FILES:
            self.notes.add(path, f"more than {MAX_FILES} included files; left out")
            return None
        self.files += 1
        return _config.text(self.host, self.base + path, self.notes)

    def matches(self, pattern: str) -> list[str]:
        """Files of an include, without the base."""
        if not any(c in pattern for c in "*?["):
            return [pattern]
        hits = _config.glob(self.host, self.base + pattern, self.notes)
        return [p.removeprefix(self.base) for p in hits]


def nginx(host: Host, notes: Notes, config: str, base: str = "") -> Iterator[Directive]:
    """Directives of a configuration with its includes in place, parents before children."""
    reader = _Reader(host, notes, base)
    yield from _nginx_file(reader, config, posixpath.dirname(config), 0)


def _nginx_file(reader: _Reader, path: str, prefix: str, block: int) -> Iterator[Directive]:
    content = reader.content(path)
    if content is None:
        return
    reader.active.add(path)
    stack = [block]
    words: list[str] = []
    line = started = 1
    for hit in _NGINX_TOKEN.finditer(content):
        word = hit.group()
        reader.words += 1
        if reader.words > MAX_WORDS:
            reader.notes.add(path, f"more than {MAX_WORDS} words; the rest is left out")
            break
        if word == "\n" or word.startswith("#"):
            line += word == "\n"
            continue
        if word not in (";", "{", "}"):
            started = started if words else line
            if len(words) < MAX_ARGS:
                words.append(word[1:-1] if word[0] in "\"'" else word)
            line += word.count("\n")
            continue
        if word == "{" and len(stack) > MAX_NESTING:
            reader.notes.add(path, f"more than {MAX_NESTING} blocks in each other; left out")
            break
        if words and word != "}":
            yield from _nginx_directive(reader, prefix, path, words, started, stack, word == "{")
        elif word == "{":
            stack.append(stack[-1])
        if word == "}" and len(stack) > 1:
            stack.pop()
        words = []
    reader.active.discard(path)


def _nginx_directive(
    reader: _Reader,
    prefix: str,
    path: str,
    words: list[str],
    line: int,
    stack: list[int],
    opens: bool,  # noqa: FBT001 - the token that ended it
) -> Iterator[Directive]:
    if words[0] == "include" and len(words) == 2 and not opens:
        for file in reader.matches(posixpath.join(prefix, words[1])):
            yield from _nginx_file(reader, file, prefix, stack[-1])
        return
    number = 0
    if opens:
        reader.blocks += 1
        number = reader.blocks
    yield Directive(words[0], words[1:], path, line, stack[-1], number)
    if opens:
        stack.append(number)


_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WORD = re.compile(r'"([^"]*)"|(\S+)')


def apache(host: Host, notes: Notes, config: str, base: str = "") -> Iterator[Directive]:
    """Directives of an Apache configuration with its includes in place; names in lower case."""
    reader = _Reader(host, notes, base)
    root = posixpath.dirname(config)
    variables = _apache_variables(reader, root)
    yield from _Apache(reader, variables, root).file(config, 0)


def _apache_variables(reader: _Reader, root: str) -> dict[str, str]:
    content = _config.text(reader.host, f"{reader.base}{root}/envvars", reader.notes) or ""
    pairs = re.findall(r"^export (\w+)=([^\n]*)$", content, re.MULTILINE)
    return {name: value.strip("\"'").replace("$SUFFIX", "") for name, value in pairs}


class _Apache:
    def __init__(self, reader: _Reader, variables: dict[str, str], root: str) -> None:
        self._reader, self._variables, self._root = reader, variables, root

    def file(self, path: str, block: int) -> Iterator[Directive]:
        content = self._reader.content(path)
        if content is None:
            return
        self._reader.active.add(path)
        stack = [block]
        for number, line in _logical_lines(content):
            text = _VARIABLE.sub(lambda m: self._variables.get(m.group(1), m.group(0)), line)
            if text.startswith("</"):
                if len(stack) > 1:
                    stack.pop()
                continue
            opens = text.startswith("<")
            if opens and len(stack) > MAX_NESTING:
                notes = self._reader.notes
                notes.add(path, f"more than {MAX_NESTING} blocks in each other; left out")
                break
            parts = [a or b for a, b in _WORD.findall(text.strip("<>"))][:MAX_ARGS]
            if parts:
                yield from self._directive(path, number, parts, stack, opens=opens)
        self._reader.active.discard(path)

    def _directive(
        self, path: str, line: int, parts: list[str], stack: list[int], *, opens: bool
    ) -> Iterator[Directive]:
        name, args = parts[0].lower(), parts[1:]
        if opens:
            self._reader.blocks += 1
            yield Directive(name, args, path, line, stack[-1], self._reader.blocks)
            stack.append(self._reader.blocks)
            return
        if name == "serverroot" and args:
            self._root = args[0]
        elif name == "define" and len(args) == 2:
            self._variables[args[0]] = args[1][:1024]
        elif name in ("include", "includeoptional") and args:
            for file in self._reader.matches(posixpath.join(self._root, args[0])):
                yield from self.file(file, stack[-1])
            return
        yield Directive(name, args, path, line, stack[-1])


def _logical_lines(content: str) -> Iterator[tuple[int, str]]:
    pending, started = "", 0
    for number, raw in enumerate(content.split("\n", _config.MAX_LINES)[: _config.MAX_LINES], 1):
        line = raw.strip()[: _config.LINE_LIMIT]
        if not pending:
            started = number
        joined = f"{pending}{line}" if len(pending) < _config.LINE_LIMIT else pending
        if joined.endswith("\\") and not joined.startswith("#"):
            pending = joined[:-1] + " "
            continue
        pending = ""
        if joined and not joined.startswith("#"):
            yield started, joined
