"""Tiny agent packages, signed, and an installation in a folder to put them into."""

import hashlib
import io
import json
import lzma
import tarfile

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk import signing
from hauberk.schema.link import Package, Signed

ARCH = "x86_64"
RELEASE = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
RELEASE_KEY = signing.raw_public(RELEASE)


def manifest(files, version="2", sequence=2, arch=ARCH, links=None, **changes):
    rows = [
        {
            "path": path,
            "mode": 0o755 if path.startswith("bin/") else 0o644,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for path, data in files.items()
    ]
    rows += [{"path": path, "link": text} for path, text in (links or {}).items()]
    document = {
        "format": 1,
        "name": "hauberk-agent",
        "version": version,
        "sequence": sequence,
        "arch": arch,
        "size": sum(len(d) for d in files.values()),
        "files": rows,
        **changes,
    }
    return json.dumps(document).encode()


def member(name, data=b"", kind=tarfile.REGTYPE, mode=0o644, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    return info, data


def archive(members, fmt=tarfile.USTAR_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=fmt) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return lzma.compress(buffer.getvalue(), preset=0)


def package(files=None, links=None, extra=(), head=None, **facts):
    """Bytes of a package."""
    files = files if files is not None else {"bin/hauberk": b"#!/bin/sh\n", "lib/x": b"x" * 100}
    listed = head if head is not None else manifest(files, links=links, **facts)
    members = [member("manifest.json", listed)]
    members += [
        member(path, data, mode=0o755 if path.startswith("bin/") else 0o644)
        for path, data in files.items()
    ]
    members += [member(p, kind=tarfile.SYMTYPE, link=t) for p, t in (links or {}).items()]
    return archive([*members, *extra])


def signed(data, version="2", sequence=2, arch=ARCH, key=RELEASE, **changes):
    """What the desired state carries for the package `data`."""
    values = {
        "version": version,
        "sequence": sequence,
        "arch": arch,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        **changes,
    }
    body = msgspec.msgpack.encode(Package(**values))
    return msgspec.msgpack.encode(Signed(body, signing.sign(key, "pack", body)))


def put_slot(root, slot="a", version="1", sequence=1):
    """An unpacked package in a slot."""
    place = root / "slots" / slot
    (place / "bin").mkdir(parents=True)
    files = {"bin/hauberk": f"#!/bin/sh\n# {version}\n".encode()}
    for path, data in files.items():
        (place / path).write_bytes(data)
        (place / path).chmod(0o755)
    (place / "manifest.json").write_bytes(manifest(files, version, sequence))
    return place
