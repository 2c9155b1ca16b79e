"""Agent packages of each tenant: taken in, signed, listed, handed to the agents that want them."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadInput, Conflict, NotFound, Temporary
from hauberk.link.gateway.identity import Peer
from hauberk.ports import Blobs, Clock
from hauberk.schema.link import Package
from hauberk.schema.view import Page
from hauberk.schema.view_fleet import PackageView
from hauberk.store import query
from hauberk.store.database import after_commit, read, write
from hauberk.store.dialect import json_text
from hauberk.store.files import make_folder, room
from hauberk.store.keys import Keys
from hauberk.store.package_file import MAX_PACKAGE, Manifest, read_manifest
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent
from hauberk.store.tables_fleet import package, rollout

MAX_NOTE = 200
_CHUNK = 256 * 1024
_MS = 1_000_000
_RUNNING = ("canary", "all", "paused")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A package whose bytes are stored; `Packages.add` makes it known."""

    sha256: str
    size: int
    manifest: Manifest


class Packages:
    """The agent packages of every tenant. Bytes are in `blobs`, uploads pass through `scratch`."""

    def __init__(
        self, engine: Engine, blobs: Blobs, keys: Keys, clock: Clock, scratch: Path
    ) -> None:
        self.engine = engine
        self._blobs, self._keys, self._clock, self._scratch = blobs, keys, clock, scratch

    def receive(self, tenant: str, data: BinaryIO) -> Received:
        """Check a package and store its bytes. Takes its time: call it outside of transactions.

        Raises:
            BadInput: not an agent package, damaged, or larger than MAX_PACKAGE.
            Conflict: it is here already.
            StorageFull: no room; nothing was stored.
        """
        make_folder(self._scratch)
        with room(str(self._scratch)), tempfile.TemporaryFile(dir=self._scratch) as file:
            digest = hashlib.sha256()
            size = 0
            while chunk := data.read(_CHUNK):
                size += len(chunk)
                if size > MAX_PACKAGE:
                    raise BadInput(
                        f"a package has at most {MAX_PACKAGE >> 20} MiB", source="package"
                    )
                digest.update(chunk)
                file.write(chunk)
            file.seek(0)
            manifest = read_manifest(file)
            sha256 = digest.hexdigest()
            with read(self.engine) as db:
                if db.execute(_find(tenant, sha256)).first() is not None:
                    raise Conflict(f"this package is here already: {sha256}")
            file.seek(0)
            if self._blobs.put(tenant, file) != sha256:
                raise BadInput("the package changed while it was stored", source="package")
        return Received(sha256, size, manifest)

    def add(self, tenant: str, got: Received, *, note: str, created_by: str) -> None:
        """Sign a package and make it known.

        Raises:
            BadInput: the note is too long.
            Conflict: another request added it meanwhile.
        """
        if len(note) > MAX_NOTE:
            raise BadInput(f"at most {MAX_NOTE} characters", source="note")
        document = Package(
            version=got.manifest.version,
            sequence=got.manifest.sequence,
            arch=got.manifest.arch,
            sha256=got.sha256,
            size=got.size,
        )
        row = insert(package).values(
            tenant=tenant,
            sha256=got.sha256,
            version=document.version,
            sequence=document.sequence,
            arch=document.arch,
            size=document.size,
            signed=self._keys.sign_package(document),
            note=note,
            created_by=created_by,
            created_ns=self._clock.wall_ns(),
        )
        with write(self.engine) as db:
            if db.execute(row.on_conflict_do_nothing()).rowcount == 0:
                raise Conflict(f"this package is here already: {got.sha256}")

    def discard(self, tenant: str, sha256: str) -> None:
        """Delete the bytes of a package that is not known: refused, deleted.

        What cannot be deleted now stays behind: that is logged, and nobody's failure.
        """
        try:
            with read(self.engine) as db:
                if db.execute(_find(tenant, sha256)).first() is not None:
                    return
            self._blobs.delete(tenant, sha256)
        except Temporary as error:
            _log.warning("packages: %s of tenant %s stays behind: %s", sha256, tenant, error)

    def delete(self, tenant: str, sha256: str) -> None:
        """Forget a package; agents that run it keep running it.

        Raises:
            NotFound: no such package in this tenant.
            Conflict: a rollout that has not ended uses it.
        """
        with write(self.engine) as db:
            used = select(rollout.c.id).where(
                rollout.c.tenant == tenant,
                rollout.c.sha256 == sha256,
                rollout.c.state.in_(_RUNNING),
            )
            if (busy := db.execute(used.limit(1)).scalar()) is not None:
                raise Conflict(f"rollout {busy} uses this package: cancel it or let it end")
            where = (package.c.tenant == tenant, package.c.sha256 == sha256)
            if db.execute(delete(package).where(*where)).rowcount == 0:
                raise NotFound("no such package in this tenant")
            db.execute(
                update(agent)
                .where(agent.c.tenant == tenant, agent.c.package == sha256)
                .values(package="")
            )
        after_commit(self.engine, lambda: self.discard(tenant, sha256))

    def page(
        self, tenant: str, *, text: str, sort: str, cursor: str | None, limit: int
    ) -> Page[PackageView]:
        """One page, the newest sequence first. Raises BadFilter, BadInput."""
        c = package.c
        fields = {
            "sha256": Field("str", c.sha256, nullable=False),
            "version": Field("str", c.version, nullable=False),
            "sequence": Field("int", c.sequence, nullable=False),
            "arch": Field("str", c.arch, nullable=False),
            "size": Field("int", c.size, nullable=False),
            "note": Field("str", c.note, nullable=False),
            "created_by": Field("str", c.created_by, nullable=False),
            "created_ms": Field("int", c.created_ns // _MS, nullable=False),
        }
        rows = select(package).where(c.tenant == tenant)
        listing = Listing(rows, fields, c.sha256, "-sequence", ("packages", tenant))
        with read(self.engine) as db:
            found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
            running = _running(db, tenant)
        items = [_view(row, running) for row in found.rows]
        now_ms = self._clock.wall_ns() // _MS
        return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ms)

    def view(self, tenant: str, sha256: str) -> PackageView:
        """One package. Raises NotFound."""
        with read(self.engine) as db:
            row = db.execute(_find(tenant, sha256)).mappings().first()
            running = _running(db, tenant)
        if row is None:
            raise NotFound("no such package in this tenant")
        return _view(row, running)

    def newest(self, tenant: str) -> PackageView | None:
        """The package with the highest sequence."""
        c = package.c
        order = (c.sequence.desc(), c.created_ns.desc(), c.sha256)
        with read(self.engine) as db:
            rows = db.execute(select(package).where(c.tenant == tenant).order_by(*order).limit(1))
            row = rows.mappings().first()
        return None if row is None else _view(row, {})

    def open_wanted(self, peer: Peer, sha256: str) -> tuple[BinaryIO, int]:
        """(file, bytes) of the package that this agent is to run, and of no other.

        Raises:
            NotFound: it is not wanted for this agent.
        """
        wanted = (
            select(package.c.tenant, package.c.size)
            .join(
                agent,
                (agent.c.tenant == package.c.tenant) & (agent.c.package == package.c.sha256),
            )
            .where(
                agent.c.id == peer.agent,
                package.c.tenant == peer.tenant,
                package.c.sha256 == sha256,
            )
        )
        return self._open(wanted, sha256)

    def open_known(self, sha256: str) -> tuple[BinaryIO, int]:
        """(file, bytes) of a package for whoever knows its digest. Raises NotFound."""
        known = select(package.c.tenant, package.c.size).where(package.c.sha256 == sha256)
        return self._open(known.order_by(package.c.tenant), sha256)

    def _open(self, wanted: Select[Any], sha256: str) -> tuple[BinaryIO, int]:
        with read(self.engine) as db:
            row = db.execute(wanted.limit(1)).first()
        if row is None:
            raise NotFound("no such package for this agent")
        return self._blobs.get(row[0], sha256), int(row[1])


def _find(tenant: str, sha256: str) -> Select[Any]:
    return select(package).where(package.c.tenant == tenant, package.c.sha256 == sha256)


def _running(db: Connection, tenant: str) -> dict[str, int]:
    digest = json_text(agent.c.package_state, "sha256")
    rows = db.execute(
        select(digest, func.count())
        .where(agent.c.tenant == tenant, agent.c.state == "active", digest.is_not(None))
        .group_by(digest)
    )
    return query.counted(rows)


def _view(row: RowMapping, running: Mapping[str, int]) -> PackageView:
    return PackageView(
        sha256=row["sha256"],
        version=row["version"],
        sequence=row["sequence"],
        arch=row["arch"],
        size=row["size"],
        note=row["note"],
        created_by=row["created_by"],
        created_ms=row["created_ns"] // _MS,
        agents=running.get(row["sha256"], 0),
    )
