"""Where the lake and the blobs are, and which engine runs hunts: by the settings alone."""

from __future__ import annotations

import os
from pathlib import Path

from hauberk.errors import BadInput
from hauberk.server.settings import Settings, bucket_of
from hauberk.store.blobs import FolderBlobs, S3Blobs
from hauberk.store.files import make_folder, name_of
from hauberk.store.lake import Lake
from hauberk.store.lake_daft import DaftHunt
from hauberk.store.lake_files import Files, FolderFiles, S3Files
from hauberk.store.lake_query import Hunt, LakeQuery
from hauberk.store.objects import Target

CA_VARIABLE = "SSL_CERT_FILE"


def lake_files(settings: Settings) -> Files:
    """The lake's place. Raises BadInput for a secret or CA that cannot be read, Unsupported."""
    if not settings.lake:
        return FolderFiles(settings.folder / "lake")
    target = _target(settings, settings.lake, "lake")
    cache = settings.folder / "cache"
    return S3Files(target, cache, max_bytes=settings.cache_mib * 1024 * 1024)


def blobs(settings: Settings) -> FolderBlobs | S3Blobs:
    """The blobs' place. Raises as `lake_files` does."""
    if not settings.blobs:
        return FolderBlobs(settings.folder / "blobs")
    return S3Blobs(_target(settings, settings.blobs, "blobs"))


def shared(settings: Settings) -> dict[str, str]:
    """What lake and blobs are, by name: all processes of a deployment must have the same."""
    found = {"lake": settings.lake, "blobs": settings.blobs}
    for name, url in found.items():
        if not url:
            folder = settings.folder / name
            make_folder(folder)
            found[name] = name_of(folder)
    return found


def lake_query(settings: Settings, lake: Lake) -> LakeQuery:
    """Searches of the lake. Raises Unsupported when the engine of `hunt` is not installed."""
    hunt: Hunt | None = None
    if settings.hunt == "ray":
        hunt = DaftHunt(lake, ray_address=settings.ray_address)
    return LakeQuery(lake, memory_mb=settings.query_mib, hunt=hunt)


def _target(settings: Settings, url: str, name: str) -> Target:
    bucket, prefix = bucket_of(url, name)
    ca = b""
    if settings.s3_ca:
        ca = _read(settings.s3_ca, "s3_ca")
        # delta-rs and Daft take their authorities from the environment only.
        os.environ[CA_VARIABLE] = settings.s3_ca
    secret = ""
    if settings.s3_secret_file:
        secret = _read(settings.s3_secret_file, "s3_secret_file").decode("utf-8").strip()
    return Target(
        bucket,
        prefix,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        key_id=settings.s3_key_id,
        secret=secret,
        ca=ca,
    )


def _read(path: str, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", source=name) from error
