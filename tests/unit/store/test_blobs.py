"""What both kinds promise is in tests/contract/test_blobs_contract.py."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from hauberk.errors import BadInput, NotFound
from hauberk.store.blobs import FolderBlobs


def test_bytes_come_back_by_digest_within_the_tenant(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    digest = blobs.put("default", io.BytesIO(b"evidence"))
    assert digest == hashlib.sha256(b"evidence").hexdigest()
    with blobs.get("default", digest) as data:
        assert data.read() == b"evidence"
    assert blobs.bytes() == len(b"evidence")
    with pytest.raises(NotFound):
        blobs.get("other", digest)
    blobs.delete("default", digest)
    blobs.delete("default", digest)
    with pytest.raises(NotFound):
        blobs.get("default", digest)


def test_bound_leaves_nothing(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path, max_bytes=10)
    with pytest.raises(BadInput, match="longer"):
        blobs.put("default", io.BytesIO(b"x" * 11))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_digests_are_names(tmp_path: Path, digest: str) -> None:
    with pytest.raises(NotFound):
        FolderBlobs(tmp_path).get("default", digest)


def test_tenant_cannot_leave_the_root(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        FolderBlobs(tmp_path).put("../x", io.BytesIO(b""))


def test_all_of_every_tenant_are_told_and_nothing_half_done(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    made = {(tenant, blobs.put(tenant, io.BytesIO(tenant.encode()))) for tenant in ("a", "b")}
    (tmp_path / "a" / ".0123.new").write_bytes(b"half")
    assert set(blobs.all()) == made
