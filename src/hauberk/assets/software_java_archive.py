"""software.java_archive: jar, war and ear files, and the archives inside of them."""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec

from hauberk.assets import _zip
from hauberk.assets._owners import find_owners
from hauberk.assets._purl import purl
from hauberk.assets._software import find
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, FileStat, Host, Notes
from hauberk.schema.asset import Asset, column

SUFFIXES = (".jar", ".war", ".ear", ".sar", ".par", ".kar", ".hpi", ".jpi", ".lpkg")
MAX_DEPTH = 10
MAX_ARCHIVES = 100_000
MAX_ENTRIES = 500_000
MAX_HELD = 128 * 1024 * 1024  # unpacked archives in memory at once
MAX_WORK = 2 * 1024 * 1024 * 1024  # bytes unpacked per file on disk
# Bytes unpacked and hashed a run for the files of one user other than root: holes and bombs are
# free to make, and nobody may keep the machine busy with them.
MAX_USER_WORK = 4 * 1024 * 1024 * 1024
MAX_HASHED = 32 * 1024 * 1024 * 1024  # bytes of one file on disk
MAX_TEXT = 256 * 1024
MAX_POMS = 5_000
_CHUNK = 1 << 20

_POM = re.compile(r"(?:.*/)?META-INF/maven/[^/]+/[^/]+/pom\.properties\Z", re.DOTALL)
_MANIFEST = "META-INF/MANIFEST.MF"
_REPOSITORIES = ("repository", "maven-repo", "maven2")
_FILE_VERSION = re.compile(r"(?P<name>.+?)[-_](?P<version>v?\d[\w.+-]*)\Z")


class JavaArchive(Asset, frozen=True, kw_only=True):
    """One archive. `path` leads through nested ones: `/a/app.war!/WEB-INF/lib/x.jar`."""

    KEY = ("path",)

    path: Annotated[str, column("Path", "路径", "'!/' goes into an archive")]
    name: Annotated[str, column("Artifact", "构件")] = ""
    group: Annotated[str, column("Group", "组")] = ""
    version: Annotated[str, column("Version", "版本")] = ""
    evidence: Annotated[
        str,
        column(
            "Evidence", "依据", "pom, repository, manifest, file name: what names it", wide=True
        ),
    ] = ""
    artifacts: Annotated[
        list[str],
        column("Contained artifacts", "内含构件", "group:artifact:version, also shaded ones"),
    ] = msgspec.field(default_factory=list)
    file: Annotated[str, column("File", "磁盘文件", "the file on disk", wide=True)] = ""
    depth: Annotated[int, column("Depth", "嵌套深度", "0: a file on disk", wide=True)] = 0
    size: Annotated[int, column("Size", "大小", "bytes")] = 0
    sha256: Annotated[str, column("SHA-256", "SHA-256", wide=True)] = ""
    title: Annotated[str, column("Title", "标题", "of the manifest", wide=True)] = ""
    vendor: Annotated[str, column("Vendor", "供应商", "of the manifest", wide=True)] = ""
    main_class: Annotated[str, column("Main class", "主类", wide=True)] = ""
    owner: Annotated[
        str, column("OS package", "所属系统软件包", "key of the package that owns it", wide=True)
    ] = ""
    purl: Annotated[str, column("Package URL", "软件包 URL", wide=True)] = ""


class Coordinates(NamedTuple):
    """Maven's name of an artifact."""

    group: str
    artifact: str
    version: str


def parse_pom(data: bytes) -> Coordinates | None:
    """`pom.properties`; None without artifact and version. Never raises."""
    fields: dict[str, str] = {}
    for line in data[:MAX_TEXT].decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", "!")):
            fields[key.strip()] = value.strip()
    artifact, version = fields.get("artifactId", ""), fields.get("version", "")
    return Coordinates(fields.get("groupId", ""), artifact, version) if artifact else None


def parse_manifest(data: bytes) -> dict[str, str]:
    """The main section of MANIFEST.MF, continuation lines joined. Never raises."""
    text = data[:MAX_TEXT].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    main = text.split(b"\n\n", 1)[0].replace(b"\n ", b"").decode("utf-8", "replace")
    fields = {}
    for line in main.split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            fields[key.strip()] = value.strip()
    return fields


def _wanted(name: str) -> bool:
    return name == _MANIFEST or name.lower().endswith(SUFFIXES) or bool(_POM.match(name))


@dataclass(slots=True)
class _Scan:
    """One file on disk: its bounds, and where problems are told."""

    notes: Notes
    file: str
    most: int = MAX_WORK
    held: int = 0
    work: int = 0

    def archive(
        self, stream: _zip.Reader, size: int, path: str, depth: int
    ) -> Iterator[JavaArchive]:
        """The row of one archive, then those of the archives inside."""
        poms: list[Coordinates] = []
        manifest: dict[str, str] = {}
        nested: list[_zip.Entry] = []
        try:
            listing = _zip.directory(stream, size, _wanted, max_entries=MAX_ENTRIES)
            for entry in listing.entries:
                if entry.name.lower().endswith(SUFFIXES):
                    nested.append(entry)
                elif entry.name == _MANIFEST:
                    manifest = parse_manifest(self._text(stream, entry, path))
                elif len(poms) < MAX_POMS and (pom := parse_pom(self._text(stream, entry, path))):
                    poms.append(pom)
        except _zip.BadZip as error:
            self.notes.add(path, error)
        yield _row(path, self.file, depth, size, self._hash(stream, size, depth), poms, manifest)
        for entry in nested:
            yield from self._inside(stream, entry, path, depth)

    def _hash(self, stream: _zip.Reader, size: int, depth: int) -> str:
        if depth == 0 and size > min(self.most, MAX_HASHED):
            self.notes.add(self.file, f"not hashed: {size} bytes are more than may be read of it")
            return ""
        return _digest(stream, size)

    def _text(self, stream: _zip.Reader, entry: _zip.Entry, path: str) -> bytes:
        try:
            return _zip.read(stream, entry, MAX_TEXT)
        except _zip.BadZip as error:
            self.notes.add(path, error)
            return b""

    def _inside(
        self, stream: _zip.Reader, entry: _zip.Entry, path: str, depth: int
    ) -> Iterator[JavaArchive]:
        inner = f"{path}!/{entry.name}"
        if depth >= MAX_DEPTH:
            self.notes.add(inner, f"nested more than {MAX_DEPTH} deep; not looked into", hides=True)
            return
        size = 0
        try:
            if entry.method == 0 and not entry.encrypted:
                start = _zip.data_start(stream, entry)
                self._charge(entry.packed)
                window = _zip.Window(stream, start, entry.packed)
                yield from self.archive(window, entry.packed, inner, depth + 1)
                return
            data = _zip.read(stream, entry, min(MAX_HELD - self.held, self._left()))
            size = len(data)
            self._charge(size)
        except _zip.BadZip as error:
            self.notes.add(inner, error)
            return
        self.held += size
        yield from self.archive(io.BytesIO(data), size, inner, depth + 1)
        self.held -= size

    def _charge(self, size: int) -> None:
        self.work += size
        if self._left() < 0:
            most = min(self.most, MAX_WORK)
            raise _zip.BadZip(f"archives inside unpack to more than {most} bytes")

    def _left(self) -> int:
        return min(self.most, MAX_WORK) - self.work


def _digest(stream: _zip.Reader, size: int) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    left = size
    while left > 0 and (part := stream.read(min(_CHUNK, left))):
        digest.update(part)
        left -= len(part)
    return digest.hexdigest()


def _row(
    path: str,
    file: str,
    depth: int,
    size: int,
    sha256: str,
    poms: list[Coordinates],
    manifest: dict[str, str],
) -> JavaArchive:
    own, evidence = _identity(path, poms, manifest)
    return JavaArchive(
        path=path,
        name=own.artifact,
        group=own.group,
        version=own.version,
        evidence=evidence,
        artifacts=sorted({":".join(pom) for pom in poms}),
        file=file,
        depth=depth,
        size=size,
        sha256=sha256,
        title=manifest.get("Implementation-Title", "") or manifest.get("Bundle-Name", ""),
        vendor=manifest.get("Implementation-Vendor", "") or manifest.get("Bundle-Vendor", ""),
        main_class=manifest.get("Main-Class", ""),
        # Maven has no artifact without a group: no name is better than a wrong one.
        purl=purl("maven", own.artifact, own.version, namespace=own.group) if own.group else "",
    )


def _identity(
    path: str, poms: list[Coordinates], manifest: dict[str, str]
) -> tuple[Coordinates, str]:
    """What an archive itself is; a shaded one holds the coordinates of others as well."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    fitting = [p for p in poms if stem == p.artifact or stem.startswith(f"{p.artifact}-")]
    if not fitting and len(poms) == 1:
        fitting = poms
    if fitting:
        return max(fitting, key=lambda p: (len(p.artifact), p)), "pom"
    if place := _in_repository(path, stem):
        return place, "repository"
    match = _FILE_VERSION.match(stem)
    name = match["name"] if match else stem
    group = manifest.get("Implementation-Vendor-Id", "")
    if match:
        return Coordinates(group, name, match["version"]), "file name"
    for field in ("Implementation-Version", "Bundle-Version", "Specification-Version"):
        if manifest.get(field):
            return Coordinates(group, name, manifest[field]), "manifest"
    return Coordinates(group, name, ""), "file name"


def _in_repository(path: str, stem: str) -> Coordinates | None:
    """Coordinates by a Maven repository's layout: `GROUP/AS/FOLDERS/ARTIFACT/VERSION/FILE`."""
    parts = path.split("/")[:-1]
    root = next((i for i, part in enumerate(parts) if part in _REPOSITORIES), -1)
    if root < 0 or len(parts) - root < 4:
        return None
    artifact, version = parts[-2:]
    if stem != f"{artifact}-{version}" and not stem.startswith(f"{artifact}-{version}-"):
        return None
    return Coordinates(".".join(parts[root + 1 : -2]), artifact, version)


def _named(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _rows(host: Host, notes: Notes, entry: FileStat, spent: Counter[int]) -> Iterator[JavaArchive]:
    # Files of root are bounded one by one only.
    most = MAX_USER_WORK - spent[entry.uid] if entry.uid else MAX_HASHED
    if most <= 0:
        notes.add(entry.path, f"too much to read of uid {entry.uid}; not looked into", hides=True)
        return
    try:
        stream = host.open(entry.path)
    except PathMissing:
        return
    except HostError as error:
        notes.add(entry.path, error, hides=True)
        return
    scan = _Scan(notes, entry.path, most)
    with stream:
        try:
            yield from scan.archive(stream, entry.size, entry.path, 0)
            spent[entry.uid] += scan.work + (entry.size if entry.size <= most else 0)
        except OSError as error:  # the disk, not the archive
            notes.add(entry.path, error, hides=True)


def collect(host: Host, notes: Notes) -> Iterator[JavaArchive]:
    """Rows in path order, nested ones after what holds them; at most `MAX_ARCHIVES`.

    Raises:
        HostError: the root cannot be listed.
    """
    files = list(find(host, notes, lambda _: True, names=_named))
    owners = find_owners(host, notes, [entry.path for entry in files])
    seen: set[str] = set()
    spent: Counter[int] = Counter()
    for entry in files:
        owner = owners.get(entry.path, "")
        for row in _rows(host, notes, entry, spent):
            if len(seen) >= MAX_ARCHIVES:
                notes.add(
                    "/", f"more than {MAX_ARCHIVES} Java archives; the rest is left out", hides=True
                )
                return
            if row.path in seen:
                continue
            seen.add(row.path)
            yield msgspec.structs.replace(row, owner=owner) if owner else row


COLLECTOR = Collector("software.java_archive", JavaArchive, collect, every_s=6 * 3600)
