"""A real server process and real agents over mTLS, for tests and benches."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx
import msgspec

from hauberk import signing
from hauberk.errors import Temporary
from hauberk.link import envelope, wire
from hauberk.link.client import identity as identities
from hauberk.link.client.enrol import enrol
from hauberk.link.client.identity import Identity
from hauberk.link.client.transport import Transport
from hauberk.link.rows import CollectionRow
from hauberk.schema.asset import Asset, Collection
from hauberk.schema.event import ProcessActivity
from hauberk.schema.link import BatchReply, Beat, Resources, SensorHealth, WorkloadFacts

START = """
import os, sys
from hauberk.server.main import run
from hauberk.server.settings import load
sys.exit(run(load(os.environ)))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ServerProcess:
    """`hauberk.server.main.run` in a process of its own."""

    data: Path
    listen: str = ""
    gateway: str = ""
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.listen = self.listen or f"127.0.0.1:{free_port()}"
        self.gateway = self.gateway or f"127.0.0.1:{free_port()}"

    @property
    def folder(self) -> Path:
        return self.data / "server"

    def start(self, *, wait: bool = True) -> None:
        env = {
            **os.environ,
            "HAUBERK_DATA": str(self.data),
            "HAUBERK_LISTEN": self.listen,
            "HAUBERK_GATEWAY": self.gateway,
            "HAUBERK_USER": "root",
            "HAUBERK_CONFIG": os.devnull,
            **self.env,
        }
        log = (self.data / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START], env=env, stdout=log, stderr=log
            )
        if wait:
            self.wait()

    def wait(self, timeout_s: float = 60) -> None:
        assert self.process
        deadline = time.monotonic() + timeout_s
        while True:
            ready = self.folder / "run/server.json"
            if ready.exists() and json.loads(ready.read_text())["pid"] == self.process.pid:
                return
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def log(self) -> str:
        return (self.data / "server.log").read_text()

    def api(
        self, method: str, path: str, body: object = None, *, tenant: str = "default"
    ) -> object:
        transport = httpx.HTTPTransport(uds=str(self.folder / "run/api.sock"))
        with httpx.Client(transport=transport, base_url="http://local", timeout=60) as client:
            headers = {"X-Hauberk-Tenant": tenant}
            answer = client.request(method, f"/api/v1{path}", json=body, headers=headers)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None

    def token(self, tenant: str = "default") -> str:
        made = self.api("POST", "/enrolments", {"note": "test", "ttl_s": 600}, tenant=tenant)
        assert isinstance(made, dict)
        return str(made["token"])

    def cpu_s(self) -> float:
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, name: str = "VmRSS") -> float:
        assert self.process
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise AssertionError(name)


FACTS = WorkloadFacts(hostname="web-1")


@dataclass
class Agent:
    """An enrolled agent with its own sequence."""

    identity: Identity
    transport: Transport
    boot: str = "boot-1"
    sequence: int = 0
    _all: ClassVar[list[Agent]] = []

    def __post_init__(self) -> None:
        self._all.append(self)

    @classmethod
    def close_all(cls) -> None:
        while cls._all:
            cls._all.pop().transport.close()

    @classmethod
    def enrolled(cls, server: ServerProcess, folder: Path, tenant: str = "default") -> Agent:
        identity = enrol(
            folder,
            server.token(tenant),
            url=f"https://{server.gateway}",
            facts=FACTS,
            version="test",
        )
        return cls(identity, Transport(identity))

    def seal(
        self,
        batch: bytes,
        *,
        sequence: int | None = None,
        agent: str = "",
        lane: envelope.Lane = "",
    ) -> bytes:
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        return envelope.seal(
            self.identity.key,
            batch,
            agent=agent or self.identity.ids.agent,
            boot=self.boot,
            sequence=sequence,
            wall_ns=time.time_ns(),
            mono_ns=time.monotonic_ns(),
            lane=lane,
        )

    def send(self, batch: bytes) -> BatchReply:
        """Send one batch as the agent does: the same bytes until they are acknowledged."""
        body = self.seal(batch)
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.transport.batch(body)
            except Temporary:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def beat(self, instance: str = "i-1", **more: object) -> object:
        return self.transport.beat(beat(instance, **more))


def beat(instance: str = "i-1", **more: object) -> Beat:
    values: dict[str, object] = {
        "instance": instance,
        "boot": "boot-1",
        "wall_ns": time.time_ns(),
        "mono_ns": time.monotonic_ns(),
        "version": "test",
        "facts": FACTS,
        "sensor": SensorHealth(tier="A"),
        "resources": Resources(
            cpu_s=1.0,
            private_bytes=1,
            resident_bytes=1,
            spool_bytes=0,
            spool_dropped=0,
            background_grant_pct=1.0,
            event_grant_pct=10.0,
        ),
    }
    return Beat(**(values | more))  # type: ignore[arg-type]


def processes(count: int, *, first: int = 0, name: str = "sh") -> list[ProcessActivity]:
    now = time.time_ns()
    return [
        ProcessActivity(
            activity_id=1,
            time_ns=now + i,
            mono_ns=i,
            pid=first + i,
            name=name,
            exe=f"/usr/bin/{name}",
            argv=[name, "-c", f"echo {first + i}"],
            uid=i % 3,
        )
        for i in range(count)
    ]


def events(count: int, *, first: int = 0, name: str = "sh") -> bytes:
    rows = processes(count, first=first, name=name)
    return wire.encode_batch([wire.encode_table("process_activity", ProcessActivity, rows)])


def snapshot(subclass: str, rows: list[Asset], *, epoch: int, kind: type[Asset]) -> bytes:
    """One full snapshot of a subclass with its collection."""
    proof = Collection(subclass=subclass, outcome="ok", rows=len(rows), epoch=epoch, ended_ns=1)
    meta: dict[str, str | int] = {"epoch": epoch, "full": 1, "part": 1, "parts": 1}
    return wire.encode_batch(
        [
            wire.encode_table(f"asset/{subclass}", kind, rows, meta),
            wire.encode_table("collection", CollectionRow, [CollectionRow.of(proof)]),
        ]
    )


__all__ = ["Agent", "ServerProcess", "events", "identities", "msgspec", "signing", "snapshot"]
