"""Agent packages made by hand, and agents that tell of them."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
from typing import Any

import msgspec
from sqlalchemy import insert, update
from storekit import beat

from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Desired, Package, PackageState, Signed, WorkloadFacts
from hauberk.store.agents import Agents
from hauberk.store.agents_words import json_of
from hauberk.store.database import write
from hauberk.store.tables import agent, workload
from hauberk.store.tables_fleet import alarm, rollout

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


def seed(stack: Any, tenant: str, home: str) -> dict[str, str]:
    """A package in use and a spare one, rollouts under way and paused, an alarm, a dead machine.

    The machine `home` could take the package in use.
    """
    packages, engine = stack.context.packages, stack.engine
    known = {}
    for name, raw in (("sha256", package()), ("spare", package(tenant, 99))):
        got = packages.receive(tenant, io.BytesIO(raw))
        packages.add(tenant, got, note=f"for {tenant}", created_by="x")
        known[name] = got.sha256
    gone = stack.workload(tenant, "gone", hostname=f"gone-{tenant}")
    state = json_of(PackageState(state="current", sha256="0" * 64))
    facts = json_of(msgspec.structs.replace(FACTS, hostname=f"1-{tenant}"))
    with write(engine) as db:
        mine = agent.c.workload == home
        db.execute(update(agent).where(mine).values(package_state=state))
        db.execute(update(workload).where(workload.c.id == home).values(facts=facts))
        db.execute(update(agent).where(agent.c.workload == gone).values(state="revoked"))
        row = {"tenant": tenant, "sha256": known["sha256"], "canary": 1, "soak_s": 1.0}
        row |= {"max_failed_pct": 1.0, "created_by": f"by-{tenant}", "created_ns": 1}
        for name, now in (("rollout_id", "canary"), ("paused", "paused")):
            known[name] = f"rollout-{now}-of-{tenant}"
            db.execute(insert(rollout).values(row | {"id": known[name], "state": now}))
        known["alarm_id"] = f"alarm-of-{tenant}"
        row = {"tenant": tenant, "workload": home, "agent": f"agent-{home}", "since_ns": 1}
        row |= {"id": known["alarm_id"], "kind": "file_changed", "what": f"file of {tenant}"}
        db.execute(insert(alarm).values(row))
    return known | {"gone": gone}
