"""Which Python files the agent needs.

Hauberk without its server, the locked dependencies, and only what they import of the standard
library.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

SERVER = ("api", "ingest", "server", "store", "link.gateway")
# Imported somewhere for development, interactive use or other event loops; never on an agent.
CUT = frozenset(
    [
        "IPython",
        "_pytest",
        "curio",
        "curses",
        "distutils",
        "doctest",
        "dummy_threading",
        "ensurepip",
        "gevent",
        "idlelib",
        "ipywidgets",
        "lib2to3",
        "multiprocessing",
        "pdb",
        "pip",
        "pydoc",
        "pytest",
        "readline",
        "rlcompleter",
        "setuptools",
        "sphinx",
        "test",
        "this",
        "tkinter",
        "trio",
        "turtle",
        "uvloop",
        "winloop",
        "venv",
        "wsgiref",
        "xmlrpc",
    ]
)
# Imported by compiled modules, by name at run time, or by the interpreter itself.
SEEDS = [
    "abc",
    "ast",
    "calendar",
    "codecs",
    "collections.abc",
    "contextvars",
    "copyreg",
    "dataclasses",
    "datetime",
    "decimal",
    "_pydecimal",
    "_strptime",
    "email.message",
    "encodings",
    "enum",
    "fractions",
    "functools",
    "gc",
    "importlib.metadata",
    "importlib.readers",
    "importlib.resources",
    "io",
    "ipaddress",
    "json",
    "keyword",
    "linecache",
    "locale",
    "operator",
    "os",
    "pkgutil",
    "platform",
    "queue",
    "re",
    "reprlib",
    "runpy",
    "site",
    "stat",
    "string",
    "struct",
    "threading",
    "traceback",
    "types",
    "typing",
    "uuid",
    "warnings",
    "weakref",
    "zoneinfo",
    "zipimport",
]
# Parts of dependencies that an agent never runs.
LEAVE_OUT = re.compile(
    r"(^|/)(tests?|__pycache__|bin)/|^pygments/(lexers|styles|formatters)/(?!__init__|_mapping)"
    r"|^(pycparser|cffi|rich_rst/vendor/docutils/(languages|writers|parsers/rst/languages))/"
    r"|\.(pyi|h|c|cfg|typed|pyx)$"
    r"|\.dist-info/(RECORD|INSTALLER|REQUESTED|WHEEL|direct_url\.json|top_level\.txt"
    r"|entry_points\.txt)$"
)
CJK = re.compile(rb"\b_codecs_(cn|hk|iso2022|jp|kr|tw)\b")


def imports(source: bytes, package: str) -> Iterator[str]:
    """Every module that `source` may import, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")
                parts = up[: len(up) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def hauberk(source: Path) -> tuple[list[Path], list[str]]:
    """(files of the agent, names of the commands that need the server and are left out).

    Raises:
        ValueError: a part of the agent imports the server.
    """
    gone = tuple(f"hauberk.{name}" for name in SERVER)
    kept, dropped = [], []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        name = "hauberk." + str(relative.with_suffix("")).replace("/", ".")
        if path.is_dir() or "__pycache__" in relative.parts or relative.parts[0] == "static":
            continue
        if f"{name}.".startswith(tuple(f"{g}." for g in gone)):
            continue
        if path.suffix == ".py":
            package = name.removesuffix(".__init__").rpartition(".")[0]
            if relative.name == "__init__.py":
                package = name.removesuffix(".__init__")
            reached = [
                i
                for i in imports(path.read_bytes(), package)
                if f"{i}.".startswith(tuple(f"{g}." for g in gone))
            ]
            if reached and relative.parts[0] == "cli":
                dropped.append(relative.stem)
                continue
            if reached:
                raise ValueError(f"{path} imports {reached[0]}, which an agent does not have")
        kept.append(path)
    return kept, dropped


def locked(lock: Path) -> list[tuple[str, str]]:
    """(name, version) of each requirement of a lock file that this platform takes."""
    found = []
    for line in lock.read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)(?:\s*;\s*([^\\]+))?", line)
        if match and not ("win32" in (match[3] or "") and "!=" not in (match[3] or "")):
            found.append((match[1], match[2]))
    return found


def distribution(name: str, version: str) -> list[tuple[str, Path]]:
    """(path below site-packages, file) of an installed distribution.

    Raises:
        ValueError: absent, or another version than the lock says.
    """
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(f"{name} {version} is not installed: run `make setup`") from None
    if found.version != version:
        raise ValueError(f"{name} is {found.version}, locked is {version}: run `make setup`")
    files = []
    for file in found.files or []:
        path = Path(str(file.locate()))
        text = str(file)
        if text.startswith("..") or LEAVE_OUT.search(text) or not path.is_file():
            continue
        files.append((text, path))
    return sorted(files)


def standard_library(sources: Iterable[tuple[bytes, str]]) -> list[tuple[str, Path]]:
    """(path below lib/python3.11, file) of what `sources` (bytes, package) import, transitively."""
    top = Path(sysconfig.get_path("stdlib"))
    dynload = Path(sysconfig.get_config_var("DESTSHARED") or top / "lib-dynload")
    wanted: list[str] = list(SEEDS)
    for source, package in sources:
        wanted += imports(source, package)
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for path in sorted((top / "encodings").glob("*.py")):
        if not CJK.search(path.read_bytes()):
            found[f"encodings/{path.name}"] = path
            wanted += imports(path.read_bytes(), "encodings")
    while wanted:
        name = wanted.pop()
        if name in seen or name.partition(".")[0] in CUT or name in CUT:
            continue
        seen.add(name)
        if "." in name:
            wanted.append(name.rpartition(".")[0])
        path = top / name.replace(".", "/")
        for file, package in (
            (path / "__init__.py", name),
            (path.with_suffix(".py"), name.rpartition(".")[0]),
        ):
            if file.is_file():
                found[str(file.relative_to(top))] = file
                wanted += imports(file.read_bytes(), package)
                break
        else:
            for native in dynload.glob(f"{name}.*.so"):
                found[f"lib-dynload/{native.name}"] = native
    return sorted(found.items())
