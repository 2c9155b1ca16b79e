"""Agent packages made by hand, and agents that tell of them."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
from typing import Any

import msgspec
from storekit import beat

from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Desired, Package, PackageState, Signed, WorkloadFacts
from hauberk.store.agents import Agents

FACTS = WorkloadFacts(hostname="web-1", arch="x86_64", os="debian", os_version="12")


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def package(
    version: str = "1.2.0",
    sequence: int = 12,
    arch: str = "x86_64",
    *,
    files: dict[str, bytes] | None = None,
    manifest: dict[str, Any] | None = None,
    preset: int = 0,
) -> bytes:
    """A whole package; `manifest` replaces fields of its manifest."""
    content = {"bin/hauberk": f"#!/bin/sh\necho {version}\n".encode()} if files is None else files
    listed = [
        {"path": path, "mode": 0o644, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in content.items()
    ]
    told = {
        "name": "hauberk-agent",
        "version": version,
        "sequence": sequence,
        "arch": arch,
        "size": sum(map(len, content.values())),
        "files": listed,
    } | (manifest or {})
    members = [(tarfile.TarInfo("manifest.json"), json.dumps(told).encode())]
    members += [(tarfile.TarInfo(path), data) for path, data in content.items()]
    return lzma.compress(tar_of(members), preset=preset)


class Machine:
    """An agent's part in upgrades: keeps its desired state, beats with what it is told to say."""

    def __init__(self, agents: Agents, peer: Peer, sha256: str = "0" * 64) -> None:
        self.agents, self.peer = agents, peer
        self.state = PackageState(state="current", version="1.0.0", sequence=10, sha256=sha256)
        self.version = 0
        self.wanted: Package | None = None
        self.instance = "i-1"

    def beat(self, **more: Any) -> None:
        facts = more.pop("facts", FACTS)
        sent = beat(
            self.instance,
            package=self.state,
            desired_version=self.version,
            facts=facts,
            **more,
        )
        document = self.agents.beat(self.peer, sent).desired
        if document is not None:
            body = msgspec.msgpack.decode(document, type=Signed).body
            desired = msgspec.msgpack.decode(body, type=Desired)
            self.version = desired.version
            self.wanted = None
            if desired.package:
                signed = msgspec.msgpack.decode(desired.package, type=Signed)
                self.wanted = msgspec.msgpack.decode(signed.body, type=Package)

    def says(self, state: str, message: str = "") -> None:
        """What came of the package that is wanted."""
        assert self.wanted
        wanted = self.wanted
        runs = (
            {"version": wanted.version, "sequence": wanted.sequence, "sha256": wanted.sha256}
            if state in ("trial", "current")
            else {}
        )
        self.state = msgspec.structs.replace(
            self.state, state=state, wanted=wanted.sha256, message=message, **runs
        )
        self.beat()
