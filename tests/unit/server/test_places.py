from __future__ import annotations

import os
from pathlib import Path

import pytest

from hauberk.errors import BadInput
from hauberk.server import places
from hauberk.server.settings import Settings
from hauberk.store.blobs import FolderBlobs, S3Blobs
from hauberk.store.lake_files import FolderFiles, S3Files


def test_folders_without_settings(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    files = places.lake_files(settings)
    assert isinstance(files, FolderFiles)
    assert files.root == tmp_path / "server/lake"
    assert isinstance(places.blobs(settings), FolderBlobs)


def test_a_bucket_by_settings_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    settings = Settings(
        data=str(tmp_path),
        lake="s3://bucket/events",
        blobs="s3://bucket/blobs",
        s3_endpoint="http://127.0.0.1:1",
        s3_key_id="key",
        s3_secret_file=str(secret),
        cache_mib=8,
    )
    files = places.lake_files(settings)
    assert isinstance(files, S3Files)
    assert files.target is not None
    assert files.target.url == "s3://bucket/events"
    assert files.target.secret == "hush"
    assert files.reads == tmp_path / "server/cache"
    files.close()
    assert isinstance(places.blobs(settings), S3Blobs)


@pytest.mark.parametrize("name", ["s3_secret_file", "s3_ca"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    settings = Settings(data=str(tmp_path), blobs="s3://bucket", **{name: "/no/such"})
    with pytest.raises(BadInput, match=f"{name}.*/no/such"):
        places.blobs(settings)


def test_authorities_reach_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(places.CA_VARIABLE, raising=False)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(b"")
    places.blobs(Settings(data=str(tmp_path), blobs="s3://bucket", s3_ca=str(ca)))
    assert os.environ.pop(places.CA_VARIABLE) == str(ca)


def test_a_folder_is_known_again_from_elsewhere(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "a"), blobs="s3://bucket/blobs")
    one = places.shared(settings)
    assert one["blobs"] == "s3://bucket/blobs"
    assert places.lake_files(settings).tables() == []
    (tmp_path / "mount").symlink_to(tmp_path / "a")
    assert places.shared(Settings(data=str(tmp_path / "mount")))["lake"] == one["lake"]
    assert places.shared(Settings(data=str(tmp_path / "b")))["lake"] != one["lake"]
