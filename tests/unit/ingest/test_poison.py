from __future__ import annotations

from pathlib import Path

import pytest
from storekit import Kit, item

from hauberk.errors import NotFound, StorageFull
from hauberk.ingest import poison
from hauberk.ingest.poison import Poison, Reason
from hauberk.store.blobs import FolderBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


def read(blobs: FolderBlobs, note: Reason) -> bytes:
    with blobs.get(note.tenant, note.blob) as source:
        return source.read()


def test_envelope_is_kept_with_its_reason_for_every_process(kit: Kit, blobs: FolderBlobs) -> None:
    kept = Poison(kit.engine, blobs, kit.clock)
    for _ in range(2):  # met again after a crash
        kept.keep(item(b"bytes", sequence=7), "lake", "process_activity", "column 'pid': bad")
    [note] = Poison(kit.engine, blobs, kit.clock).kept("default")
    assert (note.sequence, note.table, note.reason) == (7, "process_activity", "column 'pid': bad")
    assert read(blobs, note) == b"bytes"
    assert kept.usage() == (1, 5)
    assert kept.count == 2


def test_the_oldest_go_with_their_bytes(
    kit: Kit, blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison, "MAX_KEPT", 3)
    kept = Poison(kit.engine, blobs, kit.clock)
    for n in range(1, 6):
        kit.clock.forward(1)
        kept.keep(item(b"%d" % (n // 2), sequence=n), "lake", "", "r")
    notes = kept.kept("default")
    assert [note.sequence for note in notes] == [5, 4, 3]
    assert [read(blobs, note) for note in notes] == [b"2", b"2", b"1"]
    kit.clock.forward(1)
    kept.keep(item(b"9", sequence=9), "lake", "", "r")
    with pytest.raises(NotFound):
        blobs.get("default", notes[-1].blob)


def test_one_tenant_drives_out_nothing_of_another(
    kit: Kit, blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison, "MAX_KEPT", 1)
    kept = Poison(kit.engine, blobs, kit.clock)
    for n, tenant in enumerate(("other", "default", "default"), 1):
        kept.keep(item(sequence=n, tenant=tenant), "lake", "", "r")
    assert [len(kept.kept(tenant)) for tenant in ("default", "other")] == [1, 1]


def test_what_cannot_be_kept_is_not_given_up(
    kit: Kit, blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> str:
        raise StorageFull("no room")

    monkeypatch.setattr(blobs, "put", full)
    with pytest.raises(StorageFull):
        Poison(kit.engine, blobs, kit.clock).keep(item(), "lake", "", "r")
