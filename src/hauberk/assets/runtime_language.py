"""runtime.language: language runtimes on disk and in processes, with versions and evidence."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config, _config_binary, _proc

MAX_RUNTIMES = 2_000
_FOLDERS = (
    "/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/bin", "/opt/*/bin",
    "/usr/lib/jvm/*/bin", "/usr/local/*/bin", "/usr/lib/go*/bin", "/usr/share/dotnet",
    "/usr/lib/dotnet", "/root/.nvm/versions/node/*/bin", "/home/*/.nvm/versions/node/*/bin",
    "/root/.pyenv/versions/*/bin", "/home/*/.pyenv/versions/*/bin", "/usr/lib/jvm/*/jre/bin",
)  # fmt: skip
# Language -> names of its interpreter; exact, so that helpers such as python3-config stay out.
_NAMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Python", re.compile(r"python(\d(\.\d+)?)?[dt]?")),
    ("PyPy", re.compile(r"pypy(\d(\.\d+)?)?")),
    ("Java", re.compile(r"java")),
    ("Node.js", re.compile(r"node(js)?(\d+)?")),
    ("PHP", re.compile(r"(php|php-fpm|php-cgi)-?\d*(\.\d+)?")),
    ("Ruby", re.compile(r"ruby\d*(\.\d+)?")),
    (".NET", re.compile(r"dotnet")),
    ("Go toolchain", re.compile(r"go")),
    ("Perl", re.compile(r"perl(5(\.\d+)*)?")),
)


class LanguageRuntime(Asset, frozen=True, kw_only=True):
    """One interpreter or virtual machine, or ("Go") a running program built by Go."""

    KEY = ("language", "path", "container")
    VOLATILE = frozenset({"processes", "running"})

    language: Annotated[str, column("Language", "语言")]
    version: Annotated[str, column("Version", "版本", "empty: not found out")] = ""
    path: Annotated[str, column("Path", "路径")]
    vendor: Annotated[str, column("Vendor", "供应方")] = ""
    container: Annotated[str, column("Container", "容器", "64-hex runtime id")] = ""
    running: Annotated[bool, column("Running", "运行中")] = False
    processes: Annotated[int, column("Processes", "进程数")] = 0
    evidence: Annotated[list[str], column("Evidence", "依据", wide=True)] = msgspec.field(
        default_factory=list
    )


@dataclass(slots=True)
class _Found:
    """A runtime before it is a row. `base` prefixes paths of another root ("/proc/12/root")."""

    language: str
    path: str
    base: str = ""
    container: str = ""
    processes: int = 0
    evidence: list[str] = field(default_factory=list)
    version: str = ""
    vendor: str = ""


def language_of(name: str) -> str:
    """The language whose interpreter has this file name, or ""."""
    return next((lang for lang, names in _NAMES if names.fullmatch(name)), "")


def parse_release(content: str) -> tuple[str, str]:
    """(version, vendor) of a Java home's `release` file."""
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)"?\s*$', content[:65536], re.MULTILINE))
    return values.get("JAVA_VERSION", ""), values.get("IMPLEMENTOR", "")


def _java(host: Host, notes: Notes, found: _Found) -> None:
    home = posixpath.dirname(posixpath.dirname(found.path))
    for folder in (home, posixpath.dirname(home)):
        where = f"{found.base}{folder}/release"
        content = _config.text(host, where, notes, 65536)
        if content is not None:
            found.version, found.vendor = parse_release(content)
            found.evidence.append(f"{folder}/release")
            return
    hit = re.search(r"(?:java|jdk|jre)-?(\d+(?:\.\d+)*)", found.path)
    found.version = hit.group(1) if hit else ""


def _string(
    pattern: bytes, *near: str, limit: int = _config_binary.SEARCH_LIMIT
) -> Callable[[Host, Notes, _Found], None]:
    """Looks for `pattern` in the executable, then in libraries of its prefix.

    `near` are globs below the prefix; {0} stands for the number in the executable's name.
    """
    compiled = re.compile(pattern)

    def look(host: Host, notes: Notes, found: _Found) -> None:
        number = re.search(r"\d+(\.\d+)?", posixpath.basename(found.path))
        prefix = posixpath.dirname(posixpath.dirname(found.path))
        globs = [f"{prefix}/{g.format(number.group() if number else '*')}" for g in near]
        paths = [found.path] + [
            p.removeprefix(found.base)
            for g in globs
            for p in _config.glob(host, found.base + g, notes)
        ]
        for path in paths[:6]:
            version = _config_binary.find(host, found.base + path, compiled, notes, limit)
            if version:
                found.version = version
                found.evidence.append(f"string in {path}")
                return

    return look


def _node(host: Host, notes: Notes, found: _Found) -> None:
    prefix = posixpath.dirname(posixpath.dirname(found.path))
    for folder in (f"{prefix}/include/node", f"{prefix}/include/nodejs/src"):
        path = f"{folder}/node_version.h"
        content = _config.text(host, found.base + path, notes, 65536) or ""
        parts = dict(re.findall(r"#define NODE_(MAJOR|MINOR|PATCH)_VERSION (\d+)", content))
        if len(parts) == 3:
            found.version = ".".join(parts[k] for k in ("MAJOR", "MINOR", "PATCH"))
            found.evidence.append(path)
            return
    _string(rb"node-v(\d{1,6}\.\d{1,6}\.\d{1,6})", "lib/*/libnode.so.*", limit=160 * 1024 * 1024)(
        host, notes, found
    )


def _dotnet(host: Host, notes: Notes, found: _Found) -> None:
    folder = f"{posixpath.dirname(found.path)}/shared/Microsoft.NETCore.App"
    versions = _config.names(host, found.base + folder, notes)
    if versions:
        found.version = " ".join(versions)
        found.evidence.append(folder)


def _go(host: Host, notes: Notes, found: _Found) -> None:
    path = f"{posixpath.dirname(posixpath.dirname(found.path))}/VERSION"
    content = _config.text(host, found.base + path, notes, 4096)
    if content:
        found.version = content.split("\n", 1)[0].strip().removeprefix("go")
        found.evidence.append(path)


def _python(host: Host, notes: Notes, found: _Found) -> None:
    prefix = posixpath.dirname(posixpath.dirname(found.path))
    # Old builds carry ABI flags in the folder's name: include/python3.6m.
    pattern = f"{prefix}/include/{posixpath.basename(found.path)}*/patchlevel.h"
    for path in _config.glob(host, found.base + pattern, notes)[:2]:
        content = _config.text(host, path, notes, 65536) or ""
        hit = re.search(r'#define PY_VERSION\s+"([^"]+)"', content)
        if hit:
            found.version = hit.group(1)
            found.evidence.append(path.removeprefix(found.base))
            return
    _string(
        rb"\x00([23]\.\d{1,2}\.\d{1,3}(?:(?:a|b|rc)\d{1,6})?\+?)\x00",
        "lib/libpython{0}*.so.*",
        "lib/*/libpython{0}*.so.*",
        "lib64/libpython{0}*.so.*",
    )(host, notes, found)


_VERSIONS: dict[str, Callable[[Host, Notes, _Found], None]] = {
    "Java": _java,
    "Node.js": _node,
    ".NET": _dotnet,
    "Go toolchain": _go,
    "Python": _python,
    "PHP": _string(rb"PHP/(\d{1,6}\.\d{1,6}\.\d{1,6})"),
    "Ruby": _string(
        rb"ruby (\d{1,6}\.\d{1,6}\.\d{1,6})p?\d{0,6} \(",
        "lib/*/libruby-{0}.so.*",
        "lib64/libruby.so.*",
        "lib/libruby.so.*",
    ),
    "Perl": _string(rb"/perl5?/(5\.\d{1,6}\.\d{1,6})", "lib/*/libperl.so.*"),
    "PyPy": _string(rb"PyPy (\d{1,6}\.\d{1,6}\.\d{1,6})", "lib/*/libpypy*.so"),
}


def _on_disk(host: Host, notes: Notes) -> Iterator[_Found]:
    seen: set[tuple[int, int]] = set()
    folders = [f for g in _FOLDERS for f in (_config.glob(host, g, notes) if "*" in g else [g])]
    for folder in folders:
        for name in _config.names(host, folder, notes):
            language = language_of(name)
            if not language:
                continue
            path = _config.real(host, f"{folder}/{name}")
            stat = _config.stat(host, path, notes)
            if stat is None or stat.kind != "file" or not stat.mode & 0o111:
                continue
            if (stat.device, stat.inode) in seen:
                continue
            seen.add((stat.device, stat.inode))
            yield _Found(language, path, evidence=[f"file {path}"])


def _in_processes(host: Host, notes: Notes, found: dict[tuple[str, str], _Found]) -> None:
    """Count processes of each runtime, and add those that no usual folder holds."""
    other: set[tuple[str, str]] = set()
    for proc in _proc.processes(host, notes):
        key = (proc.exe, proc.container)
        if not proc.exe or key in other:
            continue
        if key not in found:
            fresh = _from_process(host, notes, proc)
            if fresh is None or len(found) >= MAX_RUNTIMES:
                other.add(key)
                continue
            found[key] = fresh
        found[key].processes += 1


def _from_process(host: Host, notes: Notes, proc: _proc.Proc) -> _Found | None:
    language = language_of(posixpath.basename(proc.exe))
    evidence = [f"process {proc.name}"]
    # Another mount namespace: its files are reached through the process.
    base = f"/proc/{proc.pid}/root" if proc.container else ""
    if language:
        return _Found(language, proc.exe, base, proc.container, evidence=evidence)
    version = _config_binary.go_version(host, f"/proc/{proc.pid}/exe", notes)
    if version is None:
        return None
    evidence.append("Go build information")
    return _Found("Go", proc.exe, base, proc.container, evidence=evidence, version=version)


def collect(host: Host, notes: Notes) -> Iterator[LanguageRuntime]:
    """Runtimes on disk; where the Host is live, also those of processes and containers."""
    found = {(f.path, ""): f for f in _on_disk(host, notes)}
    _in_processes(host, notes, found)
    for entry in found.values():
        look = _VERSIONS.get(entry.language)
        if look is not None:
            look(host, notes, entry)
        yield LanguageRuntime(
            language=entry.language,
            version=entry.version,
            path=entry.path,
            vendor=entry.vendor,
            container=entry.container,
            running=entry.processes > 0,
            processes=entry.processes,
            evidence=entry.evidence,
        )


COLLECTOR = Collector("runtime.language", LanguageRuntime, collect, every_s=6 * 3600)
