"""A deployment of real processes: servers and workers on PostgreSQL and NATS."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import natskit
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from serverkit import ServerProcess

WORK = """
import os, sys
from hauberk.server.worker import run
from hauberk.server.settings import load
sys.exit(run(load(os.environ)))
"""


@dataclass
class WorkerProcess:
    """`hauberk.server.worker.run` in a process of its own."""

    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORK], env={**os.environ, **self.env}, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@dataclass
class Deployment:
    """One server at first; `serve` and `work` add processes. Everything ends with `close`."""

    folder: Path
    nats: natskit.Nats
    database: str
    partitions: int = 4
    lease_s: float = 2.0
    servers: list[ServerProcess] = field(default_factory=list)
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "HAUBERK_USER": "root",
            "HAUBERK_CONFIG": os.devnull,
            "HAUBERK_DATABASE": self.database,
            "HAUBERK_INBOX": self.nats.url,
            "HAUBERK_INBOX_PARTITIONS": str(self.partitions),
            "HAUBERK_INBOX_REPLICAS": str(len(self.nats.servers)),
            "HAUBERK_LEASE_S": str(self.lease_s),
        }

    def serve(self, *, consume: bool = False) -> ServerProcess:
        """Another server: the same keys, its own folder."""
        data = self.folder / f"server-{len(self.servers)}"
        data.mkdir()
        if self.servers:
            shutil.copytree(self.servers[0].folder / "keys", data / "server" / "keys")
        env = {**self.settings, "HAUBERK_CONSUME": str(consume).lower()}
        made = ServerProcess(data, env=env)
        self.servers.append(made)
        made.start()
        return made

    def work(self, count: int = 1, **more: str) -> list[WorkerProcess]:
        """More workers, on the first server's folder."""
        started = []
        for _ in range(count):
            env = {**self.settings, "HAUBERK_DATA": str(self.servers[0].data), **more}
            made = WorkerProcess(env, self.folder / f"worker-{len(self.workers)}.log")
            made.start()
            self.workers.append(made)
            started.append(made)
        return started

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()
        for server in self.servers:
            server.stop()

    def system(self, server: int = 0) -> dict:
        answer = self.servers[server].api("GET", "/system")
        assert isinstance(answer, dict)
        return answer

    def owners(self) -> dict[str, int]:
        """Process id by partition, of those that somebody has."""
        system = self.system()
        pids = {m["id"]: m["pid"] for m in system["members"]}
        return {p["name"]: pids[p["owner"]] for p in system["partitions"] if p["owner"] in pids}

    def drained(self) -> bool:
        """Whether every consumer has everything."""
        return all(not any(p["behind"].values()) for p in self.system()["partitions"])

    def rows(self, table: str = "process_activity") -> Counter[tuple[str, str, int, int]]:
        """How often each (agent, boot, sequence, ordinal) is in the lake."""
        folder = self.servers[0].folder / "lake" / "default" / table
        try:
            found = DeltaTable(str(folder)).to_pyarrow_table(
                columns=["agent", "boot", "sequence", "ordinal"]
            )
        except TableNotFoundError:
            return Counter()
        return Counter(zip(*(found[n].to_pylist() for n in found.column_names), strict=True))


def readyz(server: ServerProcess) -> dict:
    """What `/readyz` says on the local socket."""
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with httpx.Client(transport=transport, base_url="http://local", timeout=60) as client:
        answer = client.get("/readyz")
        return answer.json()


@contextmanager
def stream(server: ServerProcess, topics: str) -> Iterator[list[str]]:
    """Lines of the server's stream, as they come."""
    heard: list[str] = []
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with (
        httpx.Client(transport=transport, base_url="http://local", timeout=60) as client,
        client.stream("GET", f"/api/v1/stream?topics={topics}") as answer,
    ):
        ended = threading.Event()

        def read() -> None:
            for line in answer.iter_lines():
                heard.append(line)
                if ended.is_set():
                    return

        reader = threading.Thread(target=read)
        reader.start()
        yield heard
        ended.set()
        reader.join(20)  # a heartbeat comes every few seconds


def eventually(check, timeout_s: float = 30):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.1)
