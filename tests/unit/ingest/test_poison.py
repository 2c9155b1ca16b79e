from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from storekit import item

from hauberk.ingest import poison
from hauberk.ingest.poison import Poison, Reason


def test_envelope_is_kept_with_its_reason(tmp_path: Path) -> None:
    kept = Poison(tmp_path)
    kept.keep(item(b"bytes", position=7), "lake", "process_activity", "column 'pid': bad")
    note = msgspec.json.decode(next(tmp_path.glob("*/*.json")).read_bytes(), type=Reason)
    assert (note.position, note.table, note.reason) == (7, "process_activity", "column 'pid': bad")
    assert next(tmp_path.glob("*/*.envelope")).read_bytes() == b"bytes"
    assert kept.count == 1


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poison, "MAX_KEPT", 3)
    kept = Poison(tmp_path)
    for n in range(6):
        kept.keep(item(position=n), "lake", "", "r")
    assert sorted(int(p.name[:20]) for p in tmp_path.glob("*/*.json")) == [3, 4, 5]
    assert kept.count == 6


def test_one_tenant_drives_out_nothing_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison, "MAX_KEPT", 1)
    kept = Poison(tmp_path)
    for n, tenant in enumerate(("other", "default", "default")):
        kept.keep(item(position=n, tenant=tenant), "lake", "", "r")
    assert sorted(p.parent.name for p in tmp_path.glob("*/*.json")) == ["default", "other"]
