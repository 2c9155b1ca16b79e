from __future__ import annotations

import hashlib
import io
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rolloutkit import Machine, package
from sqlalchemy import select, update
from storekit import Kit

from hauberk import signing
from hauberk.errors import BadInput, Conflict, NotFound, Unreachable
from hauberk.schema.link import Package, Signed
from hauberk.schema.view import RolloutInput
from hauberk.store import rollouts
from hauberk.store.blobs import FolderBlobs
from hauberk.store.database import read, write
from hauberk.store.tables import agent
from hauberk.store.tables_fleet import package as table


def add(kit: Kit, raw: bytes, tenant: str = "default") -> str:
    got = kit.packages.receive(tenant, io.BytesIO(raw))
    kit.packages.add(tenant, got, note="n", created_by="root")
    return got.sha256


def blobs(kit: Kit) -> list[Path]:
    return [p for p in (kit.folder / "blobs").rglob("*") if p.is_file()]


def test_a_package_is_signed_and_listed_newest_first(kit: Kit) -> None:
    old, new = add(kit, package("1.0.0", 1)), add(kit, package("1.1.0", 2, "aarch64"))
    page = kit.packages.page("default", text="", sort="", cursor=None, limit=1)
    assert [(p.sha256, p.version, p.arch) for p in page.items] == [(new, "1.1.0", "aarch64")]
    rest = kit.packages.page("default", text="", sort="", cursor=page.next, limit=9)
    assert [p.sha256 for p in rest.items] == [old]
    newest = kit.packages.newest("default")
    assert newest is not None
    assert newest.sha256 == new
    assert kit.packages.newest("other") is None
    with read(kit.engine) as db:
        raw = db.execute(select(table.c.signed).where(table.c.sha256 == old)).scalar_one()
    signed = msgspec.msgpack.decode(raw, type=Signed)
    key = Ed25519PublicKey.from_public_bytes(kit.keys.release_public)
    signing.verify(key, "pack", signed.body, signed.signature)
    told = msgspec.msgpack.decode(signed.body, type=Package)
    assert (told.sha256, told.sequence, told.downgrade) == (old, 1, False)
    assert told.size == len(package("1.0.0", 1))


def test_what_is_refused_leaves_nothing_behind(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (b"x", package()[:-9], package(manifest={"version": ""})):
        with pytest.raises(BadInput):
            kit.packages.receive("default", io.BytesIO(raw))
    monkeypatch.setattr("hauberk.store.packages.MAX_PACKAGE", 100)
    with pytest.raises(BadInput, match="at most"):
        kit.packages.receive("default", io.BytesIO(package()))
    assert blobs(kit) == []
    assert list((kit.folder / "scratch").iterdir()) == []


def test_a_package_twice_and_in_two_tenants(kit: Kit) -> None:
    raw = package()
    sha256 = add(kit, raw)
    with pytest.raises(Conflict, match="already"):
        kit.packages.receive("default", io.BytesIO(raw))
    assert add(kit, raw, "other") == sha256 == hashlib.sha256(raw).hexdigest()
    kit.packages.delete("other", sha256)
    with pytest.raises(NotFound):
        kit.packages.view("other", sha256)
    assert kit.packages.view("default", sha256).note == "n"
    file, size = kit.packages.open_known(sha256)
    with file:
        assert file.read() == raw
    assert size == len(raw)


def test_received_but_unknown_bytes_are_discarded(kit: Kit) -> None:
    got = kit.packages.receive("default", io.BytesIO(package()))
    with pytest.raises(BadInput, match="note"):
        kit.packages.add("default", got, note="n" * 300, created_by="x")
    kit.packages.discard("default", got.sha256)
    assert blobs(kit) == []
    sha256 = add(kit, package())
    kit.packages.discard("default", sha256)
    assert len(blobs(kit)) == 1


def test_only_the_wanted_package_of_the_own_tenant_is_given(kit: Kit) -> None:
    sha256, another = add(kit, package()), add(kit, package("2.0.0", 20))
    mine, foreign = kit.peer(), kit.peer("other")
    with pytest.raises(NotFound):
        kit.packages.open_wanted(mine, sha256)
    with write(kit.engine) as db:
        db.execute(update(agent).values(package=sha256))
    with pytest.raises(NotFound):
        kit.packages.open_wanted(foreign, sha256)
    with pytest.raises(NotFound):
        kit.packages.open_wanted(mine, another)
    kit.packages.open_wanted(mine, sha256)[0].close()


def test_one_in_use_is_not_deleted(kit: Kit) -> None:
    sha256 = add(kit, package())
    machine = Machine(kit.agents, kit.peer())
    machine.beat()
    name = rollouts.create(
        kit.engine, "default", RolloutInput(sha256=sha256), created_by="x", now_ns=kit.clock.wall
    )
    with pytest.raises(Conflict, match=name):
        kit.packages.delete("default", sha256)
    rollouts.order(kit.engine, "default", name, "cancel", now_ns=kit.clock.wall)
    with write(kit.engine) as db:
        db.execute(update(agent).values(package=sha256))
    kit.packages.delete("default", sha256)
    with read(kit.engine) as db:
        assert db.execute(select(agent.c.package)).scalar() == ""
    assert blobs(kit) == []
    with pytest.raises(NotFound):
        kit.packages.delete("default", sha256)


def test_a_package_is_deleted_although_its_bytes_cannot_be(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise Unreachable("the store does not answer")

    sha256 = add(kit, package())
    monkeypatch.setattr(FolderBlobs, "delete", away)
    kit.packages.delete("default", sha256)
    with pytest.raises(NotFound):
        kit.packages.view("default", sha256)
    assert f"{sha256} of tenant default stays behind" in caplog.text


def test_who_runs_what_is_counted(kit: Kit) -> None:
    sha256 = add(kit, package())
    Machine(kit.agents, kit.peer(), sha256).beat()
    Machine(kit.agents, kit.peer("other"), sha256).beat()
    assert kit.packages.view("default", sha256).agents == 1
