"""A folder of files -> manifest -> .tar.xz and .deb, the same bytes for the same files."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 4, "dict_size": 8 * 1024 * 1024}]
EPOCH = 1_000_000_000


def manifest(tree: Path, **facts: Any) -> bytes:
    """manifest.json of everything below `tree` (an existing one is left out)."""
    files: list[dict[str, Any]] = []
    for path in _walk(tree):
        relative = str(path.relative_to(tree))
        if relative == "manifest.json":
            continue
        if path.is_symlink():
            files.append({"path": relative, "link": str(path.readlink())})
            continue
        data = path.read_bytes()
        files.append(
            {
                "path": relative,
                "mode": path.stat().st_mode & 0o755,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    size = sum(f.get("size", 0) for f in files)
    document = {"format": 1, "name": "hauberk-agent", **facts, "size": size, "files": files}
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def tar_xz(tree: Path, target: Path, *, preset: int = 4) -> str:
    """Write `tree` with its manifest first; the SHA-256 of `target`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, tree / "manifest.json", "manifest.json")
        for path in _walk(tree, folders=True):
            name = str(path.relative_to(tree))
            if name != "manifest.json":
                _add(tar, path, name)
    filters = [{**FILTERS[0], "preset": preset}]
    packed = lzma.compress(buffer.getvalue(), lzma.FORMAT_XZ, lzma.CHECK_CRC64, None, filters)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.write_bytes(packed)
    part.replace(target)
    return hashlib.sha256(packed).hexdigest()


def deb(folder: Path, target: Path, epoch: int) -> None:
    """`dpkg-deb` over a folder with DEBIAN/; raises FileNotFoundError, CalledProcessError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in [folder, *_walk(folder, folders=True)]:
        os.utime(path, (epoch, epoch), follow_symlinks=False)
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    argv = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build", str(folder), str(target)]
    subprocess.run(argv, check=True, capture_output=True, env=env)


def _walk(tree: Path, *, folders: bool = False) -> list[Path]:
    found = []
    for top, names, files in os.walk(tree):
        for name in [*names, *files]:
            path = Path(top) / name
            if folders or path.is_symlink() or not path.is_dir():
                found.append(path)
    return sorted(found)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tar.gettarinfo(path, name)
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = EPOCH
    info.mode = 0o777 if info.issym() else info.mode & 0o755
    if info.islnk():  # equal files may share an inode on the build machine
        info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
    if info.isreg():
        with path.open("rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)
