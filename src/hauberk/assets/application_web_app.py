"""application.web_app: web applications and frameworks, by the marks each leaves on disk.

Searched are roots of web sites, usual folders, and working folders of running interpreters.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from hauberk.errors import HostError
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config, _config_binary, _proc
from ._config_frameworks import MARKS, NODE, PYTHON, Mark
from .application_web_site import sites

MAX_FOLDERS = 4_000
MAX_DEPTH = 4
_FILE_LIMIT = 512 * 1024
_TOPS = ("/var/www", "/srv", "/usr/share/nginx/html", "/usr/local/nginx/html", "/app",
         "/usr/src/app", "/opt", "/home", "/var/lib/tomcat*/webapps", "/usr/local/tomcat/webapps",
         "/usr/share")  # fmt: skip
# Below these only the folder itself and its direct children are looked at.
_SHALLOW = {"/usr/share": 1, "/home": 3, "/opt": 3}
_SKIP = frozenset(
    {"node_modules", "vendor", ".git", ".svn", "__pycache__", "site-packages", "cache", "uploads",
     "static", "assets", "images", "img", "css", "js", "fonts", "locale", "doc", "man", "tests",
     "lib64", "include", "proc", "sys", "dev"}
)  # fmt: skip
_INTERPRETER = re.compile(r"(python|pypy|node|nodejs|php|ruby|java|uwsgi|perl)[\d.\w-]*")


class WebApp(Asset, frozen=True, kw_only=True):
    """One application folder or archive and the framework or product that it is."""

    KEY = ("name", "path", "container")
    VOLATILE = frozenset({"evidence"})

    name: Annotated[str, column("Application", "应用")]
    version: Annotated[str, column("Version", "版本", "empty: not found out")] = ""
    language: Annotated[str, column("Language", "语言")] = ""
    path: Annotated[str, column("Path", "路径")] = ""
    site: Annotated[str, column("Site", "站点", "web site that serves the folder")] = ""
    running: Annotated[
        bool | None, column("Running", "运行中", "a process works in it; none: not told")
    ] = None
    pid: Annotated[int, column("PID", "进程号", "0: none", wide=True)] = 0
    start_ns: Annotated[int, column("Process start", "进程启动", "ns since boot", wide=True)] = 0
    container: Annotated[str, column("Container", "容器", "64-hex runtime id")] = ""
    evidence: Annotated[list[str], column("Evidence", "依据", wide=True)] = msgspec.field(
        default_factory=list
    )


class _Search:
    """Looks through folders once, with bounds for the whole run."""

    def __init__(self, host: Host, notes: Notes) -> None:
        self.host, self.notes = host, notes
        self.left = MAX_FOLDERS
        self.seen: set[str] = set()

    def below(self, top: str, depth: int, base: str = "") -> Iterator[WebApp]:
        """Applications in `top` and its folders; an application's own folders are left out."""
        pending = [(top, depth)]
        while pending:
            folder, left = pending.pop()
            if base + folder in self.seen:
                continue
            if self.left <= 0:
                self.notes.add(
                    folder, f"more than {MAX_FOLDERS} folders; the rest is left out", hides=True
                )
                return
            self.seen.add(base + folder)
            names = self._names(base + folder)
            found = list(self.folder(folder, names, base)) if names else []
            yield from found
            if left > 0 and not found:
                inner = (n for n in reversed(names) if "." not in n and n not in _SKIP)
                pending += [(f"{folder.rstrip('/')}/{n}", left - 1) for n in inner]

    def _names(self, path: str) -> list[str]:
        try:
            found = self.host.listdir(_config.inside(self.host, path))
        except HostError:  # a file, gone, or not ours to read: _config notes refusals of tops
            return []
        self.left -= 1
        return found[: _config.MAX_ENTRIES]

    def folder(self, folder: str, names: list[str], base: str) -> Iterator[WebApp]:
        """What the folder is, from its entries."""
        present = set(names)
        for mark in MARKS:
            if mark.entry in present:
                row = self._mark(mark, folder, base)
                if row is not None:
                    yield row
        if "package.json" in present:
            yield from self._node(folder, base)
        if present & {"requirements.txt", "pyproject.toml", "Pipfile", "wsgi.py", "app.py"}:
            yield from self._python(folder, present, base)
        for name in names:
            if name.endswith((".war", ".jar")) and len(name) < 256:
                yield from self.archive(f"{folder}/{name}", base)

    def _mark(self, mark: Mark, folder: str, base: str) -> WebApp | None:
        path = f"{folder.rstrip('/')}/{mark.file}"
        if "*" in mark.file:
            hits = _config.glob(self.host, base + path, self.notes)
            if not hits:
                return None
            path = hits[0].removeprefix(base)
            hit = re.search(mark.pattern, posixpath.basename(path))
            version = hit.group(1) if hit else ""
        else:
            content = self._text(base + path)
            if content is None:
                return None
            hit = re.search(mark.pattern, content) if mark.pattern else None
            if mark.pattern and hit is None:
                return None
            version = (hit.group(1) or "") if hit and hit.re.groups else ""
        return WebApp(
            name=mark.name, version=version, language=mark.language, path=folder, evidence=[path]
        )

    def _text(self, path: str) -> str | None:
        """Absent and unreadable alike give None: a mark is proof of presence only."""
        if not _config.is_file(self.host, path, self.notes):
            return None
        return _config.text(self.host, path, self.notes, _FILE_LIMIT)

    def _node(self, folder: str, base: str) -> Iterator[WebApp]:
        path = f"{folder}/package.json"
        wanted = package_dependencies(self._text(base + path) or "")
        for package, name in NODE:
            if package not in wanted:
                continue
            exact = self._text(f"{base}{folder}/node_modules/{package}/package.json")
            version = package_version(exact or "") or wanted[package].lstrip("^~>=v ")
            evidence = [path] + ([f"node_modules/{package}/package.json"] if exact else [])
            yield WebApp(
                name=name, version=version, language="Node.js", path=folder, evidence=evidence
            )

    def _python(self, folder: str, present: set[str], base: str) -> Iterator[WebApp]:
        for name, requirement, code in PYTHON:
            for file in ("requirements.txt", "pyproject.toml", "Pipfile"):
                content = (self._text(f"{base}{folder}/{file}") or "") if file in present else ""
                hit = re.search(requirement, content)
                if hit:
                    version = hit.group(1) or ""
                    evidence = [f"{folder}/{file}"]
                    yield WebApp(
                        name=name, version=version, language="Python", path=folder,
                        evidence=evidence,
                    )  # fmt: skip
                    break
            else:
                for file in ("wsgi.py", "app.py", "main.py"):
                    content = (
                        (self._text(f"{base}{folder}/{file}") or "") if file in present else ""
                    )
                    if re.search(code, content):
                        evidence = [f"{folder}/{file}"]
                        yield WebApp(name=name, language="Python", path=folder, evidence=evidence)
                        break

    def archive(self, path: str, base: str = "") -> Iterator[WebApp]:
        """A Spring Boot or web archive, by the names in it."""
        if base + path in self.seen:
            return
        self.seen.add(base + path)
        self.left -= 1
        names = _config_binary.zip_names(self.host, base + path, self.notes)
        boot, mvc, web = archive_versions(names)
        if boot is not None or mvc is not None:
            name = "Spring Boot" if boot is not None else "Spring MVC"
            version = boot if boot is not None else mvc or ""
            yield WebApp(name=name, version=version, language="Java", path=path, evidence=[path])
        elif web:
            yield WebApp(name="Java web archive", language="Java", path=path, evidence=[path])


def archive_versions(names: list[str]) -> tuple[str | None, str | None, bool]:
    """(Spring Boot's version, Spring MVC's version, has WEB-INF); None where it is absent."""
    boot: str | None = None
    mvc: str | None = None
    for name in names:
        hit = re.search(r"/lib/spring-(boot|webmvc)-(\d[\w.-]{0,64}?)\.jar$", name[-256:])
        if hit and hit.group(1) == "boot":
            boot = hit.group(2)
        elif hit:
            mvc = hit.group(2)
    if boot is None and any(n.startswith("BOOT-INF/") for n in names):
        boot = ""
    return boot, mvc, any(n.startswith("WEB-INF/") for n in names)


def _object(content: str) -> dict[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def package_dependencies(content: str) -> dict[str, str]:
    """Run-time dependencies of a package.json: name -> wanted version; {} for anything else."""
    wanted = _object(content).get("dependencies")
    if not isinstance(wanted, dict):
        return {}
    return {k: v for k, v in wanted.items() if isinstance(v, str)}


def package_version(content: str) -> str:
    """The version that a package.json declares."""
    version = _object(content).get("version")
    return version if isinstance(version, str) else ""


def _cwd(host: Host, pid: int) -> str:
    try:
        return host.readlink(f"/proc/{pid}/cwd")
    except HostError:  # gone, or denied: the executable's refusal is noted already
        return ""


def _processes(host: Host, notes: Notes, search: _Search) -> Iterator[WebApp]:
    """Where interpreters work, and the archives that Java runs."""
    for proc in _proc.processes(host, notes):
        if not _INTERPRETER.fullmatch(posixpath.basename(proc.exe)):
            continue
        base = f"/proc/{proc.pid}/root" if proc.container else ""
        found: list[WebApp] = []
        cwd = _cwd(host, proc.pid)
        if cwd.startswith("/") and cwd != "/":
            found += search.below(cwd, 1, base)
        if "-jar" in proc.argv[:-1]:
            jar = posixpath.join(cwd, proc.argv[proc.argv.index("-jar") + 1])
            found += search.archive(jar, base)
        for row in found:
            yield msgspec.structs.replace(
                row,
                running=True,
                pid=proc.pid,
                start_ns=proc.start_ns,
                container=proc.container,
                evidence=[*row.evidence, f"process {proc.pid} {proc.name}"],
            )


def _rows(host: Host, notes: Notes) -> Iterator[WebApp]:
    search = _Search(host, notes)
    yield from _processes(host, notes, search)
    for site in sites(host, notes):
        if site.root.startswith("/") and not site.container and site.root != "/":
            for row in search.below(site.root, MAX_DEPTH):
                yield msgspec.structs.replace(row, site=site.name)
    for pattern in _TOPS:
        for top in _config.glob(host, pattern, notes):
            yield from search.below(top, _SHALLOW.get(top, MAX_DEPTH))


def collect(host: Host, notes: Notes) -> Iterator[WebApp]:
    """Applications of processes, then of sites, then of usual folders; each path once."""
    seen: set[str] = set()
    for row in _rows(host, notes):
        if (key := row.key()) not in seen:
            seen.add(key)
            yield row


COLLECTOR = Collector("application.web_app", WebApp, collect, every_s=6 * 3600)
