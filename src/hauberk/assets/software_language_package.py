"""software.language_package: packages of languages, wherever they lie.

Python, Node, Ruby, PHP and conda packages by their files; Go modules and Rust crates by what the
compilers write into programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple

import msgspec

from hauberk.assets import _buildinfo
from hauberk.assets._owners import find_owners
from hauberk.assets._purl import npm_purl, purl, pypi_name
from hauberk.assets._software import find
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, FileStat, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

MAX_ROWS = 200_000
HEAD = 64 * 1024
MIN_PROGRAM = 100 * 1024
JSON_LIMIT = 32 * 1024 * 1024
_BATCH = 20_000


class LanguagePackage(Asset, frozen=True, kw_only=True):
    """One installed package of a language's own package manager."""

    KEY = ("ecosystem", "location", "name")

    ecosystem: Annotated[
        str, column("Ecosystem", "生态", "pypi, npm, gem, composer, conda, golang, cargo")
    ]
    name: Annotated[str, column("Package", "软件包")]
    version: Annotated[str, column("Version", "版本")] = ""
    location: Annotated[str, column("Location", "位置", "the folder it is installed in")] = ""
    path: Annotated[str, column("Evidence", "依据文件", "the file that says so")] = ""
    license: Annotated[str, column("Licence", "许可证", wide=True)] = ""
    owner: Annotated[
        str, column("OS package", "所属系统软件包", "key of the package that owns it", wide=True)
    ] = ""
    purl: Annotated[str, column("Package URL", "软件包 URL", wide=True)] = ""


class Found(NamedTuple):
    """What a parser read."""

    name: str
    version: str
    license: str = ""


class _Manifest(msgspec.Struct):
    name: Any = ""
    version: Any = ""
    license: Any = ""


class _Installed(msgspec.Struct):
    packages: list[_Manifest] = []


_MANIFEST = msgspec.json.Decoder(_Manifest)
_COMPOSER = msgspec.json.Decoder(_Installed | list[_Manifest])
_PYTHON = re.compile(
    rb"^(Name|Version|License-Expression|License):[ \t]*([^\r\n]*)", re.MULTILINE | re.IGNORECASE
)
_STUB = re.compile(rb"^# stub: (\S+) (\S+) ", re.MULTILINE)
_GEM_FIELD = re.compile(
    rb"^\s*\w+\.(name|version)\s*=\s*(?:Gem::Version\.new\s*\(?\s*)?[\"']([^\"']+)[\"']",
    re.MULTILINE,
)
_NODE = re.compile(r"(.*/node_modules)/((?:@[^/]+/)?[^/]+)/package\.json\Z", re.DOTALL)


def parse_python(data: bytes) -> list[Found]:
    """Core metadata (METADATA, PKG-INFO): the header ends at the first blank line."""
    header = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0]
    fields: dict[bytes, bytes] = {}
    for key, value in _PYTHON.findall(header):
        fields.setdefault(key.lower(), value.strip())
    name = from_bytes(fields.get(b"name", b""))
    licence = fields.get(b"license-expression") or fields.get(b"license", b"")
    version = from_bytes(fields.get(b"version", b""))
    return [Found(name, version, from_bytes(licence)[:200])] if name else []


def parse_node(data: bytes) -> list[Found]:
    """`package.json`; one without a name and a version only marks a folder.

    Raises:
        ValueError: not JSON.
    """
    return _manifests([_MANIFEST.decode(data)])


def parse_composer(data: bytes) -> list[Found]:
    """`installed.json` of Composer 1 (a list) and 2 (an object).

    Raises:
        ValueError: not such a file.
    """
    content = _COMPOSER.decode(data)
    return _manifests(content if isinstance(content, list) else content.packages)


def _manifests(manifests: list[_Manifest]) -> list[Found]:
    found = []
    for item in manifests:
        if isinstance(item.name, str) and isinstance(item.version, str) and item.name:
            licence = item.license
            if isinstance(licence, list):
                licence = " OR ".join(part for part in licence if isinstance(part, str))
            elif isinstance(licence, dict):
                licence = licence.get("type")
            text = licence[:200] if isinstance(licence, str) else ""
            if item.version:
                found.append(Found(item.name, item.version, text))
    return found


def parse_gemspec(data: bytes) -> list[Found]:
    """A gemspec as RubyGems writes it on installation: its stub line, else its assignments."""
    stub = _STUB.search(data)
    if stub:
        return [Found(from_bytes(stub[1]), from_bytes(stub[2]))]
    fields = {key: from_bytes(value) for key, value in reversed(_GEM_FIELD.findall(data))}
    name, version = fields.get(b"name", ""), fields.get(b"version", "")
    return [Found(name, version)] if name and version else []


class _Kind(NamedTuple):
    """How one sort of file is read, and where what it tells of is installed."""

    ecosystem: str
    parse: Callable[[bytes], list[Found]]
    location: Callable[[str], str]
    whole: bool = False


def _up(levels: int) -> Callable[[str], str]:
    def location(path: str) -> str:
        return path.rsplit("/", levels)[0] or "/"

    return location


def _node_location(path: str) -> str:
    match = _NODE.match(path)
    return match[1] if match else path


_PY_FOLDER = _Kind("pypi", parse_python, location=_up(2))
_PY_FILE = _Kind("pypi", parse_python, location=_up(1))
_NODE_KIND = _Kind("npm", parse_node, location=_node_location, whole=True)
# A gem's versions lie side by side, so its file is its place.
_GEM = _Kind("gem", parse_gemspec, location=str)
_PHP = _Kind("composer", parse_composer, location=_up(2), whole=True)
_CONDA = _Kind("conda", parse_node, location=_up(2), whole=True)
_BY_NAME = {
    "package.json": (_NODE_KIND, _NODE),
    "METADATA": (_PY_FOLDER, re.compile(r".*\.dist-info/METADATA\Z", re.DOTALL)),
    "PKG-INFO": (
        _PY_FOLDER,
        re.compile(r".*(?:\.egg-info|\.egg/EGG-INFO)/PKG-INFO\Z", re.DOTALL),
    ),
    "installed.json": (_PHP, re.compile(r".*/composer/installed\.json\Z", re.DOTALL)),
}
_BY_SUFFIX = {
    "gemspec": (_GEM, re.compile(r".*/specifications/(?:[^/]+/)?[^/]+\Z", re.DOTALL)),
    "egg-info": (_PY_FILE, re.compile(r".")),
    "json": (_CONDA, re.compile(r".*/conda-meta/[^/]+\Z", re.DOTALL)),
}


# What a program is never called: such files need not be looked at.
# fmt: off
_DATA = frozenset({
    "a", "asc", "bmp", "bz2", "c", "cc", "cfg", "class", "conf", "cpp", "css", "csv", "dat", "db",
    "deb", "gif", "gmo", "go", "gz", "h", "hpp", "htm", "html", "ico", "in", "inc", "ini", "jar",
    "java", "jpeg", "jpg", "js", "key", "la", "list", "log", "lua", "m4", "map", "md", "md5sums",
    "mjs", "mk", "mo", "o", "pc", "pdf", "pem", "php", "pl", "pm", "png", "po", "ps1", "py", "pyc",
    "pyd", "pyi", "pyx", "qm", "rb", "rs", "rst", "s", "sh", "svg", "tcl", "tex", "tif", "toml",
    "ts", "ttf", "txt", "vim", "wav", "woff", "woff2", "xml", "xpm", "xz", "yaml", "yml", "zip",
    "zst",
})
# fmt: on


def _named(name: str) -> bool:
    """Whether a file of this name may tell a package."""
    suffix = name.rpartition(".")[2]
    return name in _BY_NAME or suffix in _BY_SUFFIX or suffix not in _DATA


def kind_of(path: str) -> _Kind | None:
    """What a file is evidence of, by its path alone."""
    name = path.rpartition("/")[2]
    rule = _BY_NAME.get(name) or _BY_SUFFIX.get(name.rpartition(".")[2])
    return rule[0] if rule and rule[1].match(path) else None


def _purl(ecosystem: str, found: Found) -> str:
    if ecosystem == "npm":
        return npm_purl(found.name, found.version)
    if ecosystem == "pypi":
        return purl("pypi", pypi_name(found.name), found.version)
    if ecosystem == "composer":
        vendor, _, name = found.name.rpartition("/")
        return purl("composer", name.lower(), found.version, namespace=vendor.lower())
    if ecosystem == "golang":
        parent, _, name = found.name.rpartition("/")
        return purl("golang", name, found.version, namespace=parent)
    return purl(ecosystem, found.name, found.version)


def _read(host: Host, notes: Notes, path: str, kind: _Kind) -> list[Found]:
    try:
        data = host.read(path, limit=JSON_LIMIT) if kind.whole else host.head(path, HEAD)
    except PathMissing:  # went away since the walk saw it
        return []
    except HostError as error:
        notes.add(path, error, hides=True)
        return []
    try:
        return kind.parse(data)
    except (ValueError, RecursionError) as error:
        notes.add(path, f"not what its name says: {error}", hides=True)
        return []


def _wanted(entry: FileStat) -> bool:
    return kind_of(entry.path) is not None or _may_tell_modules(entry)


def _may_tell_modules(entry: FileStat) -> bool:
    """A program large enough to be a Go or Rust one; scripts and libraries are passed over."""
    name = entry.path.rpartition("/")[2]
    return entry.mode & 0o111 != 0 and entry.size >= MIN_PROGRAM and ".so" not in name


def _rows(host: Host, notes: Notes) -> Iterator[LanguagePackage]:
    for entry in find(host, notes, _wanted, names=_named):
        kind = kind_of(entry.path)
        if kind is None:
            yield from _modules(host, notes, entry.path)
            continue
        for found in _read(host, notes, entry.path, kind):
            yield LanguagePackage(
                ecosystem=kind.ecosystem,
                name=found.name,
                version=found.version,
                location=kind.location(entry.path),
                path=entry.path,
                license=found.license,
                purl=_purl(kind.ecosystem, found),
            )


def _modules(host: Host, notes: Notes, path: str) -> Iterator[LanguagePackage]:
    try:
        with host.open(path) as stream:
            found = _buildinfo.modules(stream)
    except PathMissing:
        return
    except (HostError, OSError) as error:
        notes.add(path, error, hides=True)
        return
    for module in found:
        yield LanguagePackage(
            ecosystem=module.ecosystem,
            name=module.name,
            version=module.version,
            location=path,
            path=path,
            purl=_purl(module.ecosystem, Found(module.name, module.version)),
        )


def collect(host: Host, notes: Notes) -> Iterator[LanguagePackage]:
    """Rows in path order, at most `MAX_ROWS`.

    Two packages of one name in one folder (a broken upgrade) both get a row: the second one is
    placed by the file that tells of it and its version.

    Raises:
        HostError: the root cannot be listed.
    """
    seen: set[str] = set()
    batch: list[LanguagePackage] = []
    for count, row in enumerate(_rows(host, notes)):
        if count >= MAX_ROWS:
            notes.add(
                "/", f"more than {MAX_ROWS} language packages; the rest is left out", hides=True
            )
            break
        unique = row
        if unique.key() in seen:
            unique = msgspec.structs.replace(row, location=f"{row.path}@{row.version}")
        if unique.key() in seen:
            continue
        seen.add(unique.key())
        batch.append(unique)
        if len(batch) >= _BATCH:
            yield from _owned(host, notes, batch)
            batch = []
    yield from _owned(host, notes, batch)


def _owned(host: Host, notes: Notes, batch: list[LanguagePackage]) -> Iterator[LanguagePackage]:
    owners = find_owners(host, notes, [row.path for row in batch])
    for row in batch:
        owner = owners.get(row.path)
        yield msgspec.structs.replace(row, owner=owner) if owner else row


COLLECTOR = Collector("software.language_package", LanguagePackage, collect, every_s=6 * 3600)
