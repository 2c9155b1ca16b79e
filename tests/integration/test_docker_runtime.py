"""Containers of a real Docker engine, found through its socket and joined to real processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from conftest_docker import Dockerd, dockerd

from hauberk.assets import (
    container_container,
    container_image,
    container_node,
    container_registry,
    runtime_process,
)
from hauberk.errors import PathMissing
from hauberk.host.clock import SystemClock
from hauberk.host.collect import run
from hauberk.host.containerd import Containerd
from hauberk.host.facts import workload_facts
from hauberk.host.live import LiveHost
from hauberk.host.root import RootHost
from hauberk.host.runtimes import container_of_cgroup

__all__ = ["dockerd"]
pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def host(dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch) -> LiveHost:
    monkeypatch.setenv("HAUBERK_CONTAINER_SOCKETS", dockerd.socket)
    return LiveHost()


def _rows(module, host):
    rows, proof = run(module.COLLECTOR, host, epoch=1, clock=SystemClock())
    assert proof.outcome == "ok", proof.problems
    return rows


def test_running_container_is_named(dockerd: Dockerd, host: LiveHost):
    id_ = dockerd.run(
        "hauberk-web",
        ["/bin/sleep", "1000"],
        labels={"app": "web"},
        host_config={"Binds": ["/usr/share/zoneinfo:/zones:ro"]},
    )
    row = next(r for r in _rows(container_container, host) if r.id == id_)
    assert row.name == "hauberk-web"
    assert row.image == dockerd.image
    assert row.state == "running"
    assert row.pid == dockerd.inspect(id_)["State"]["Pid"]
    assert row.privileged is False
    assert row.network_mode == "none"
    assert row.labels == ["app=web"]
    assert row.mounts == ["/usr/share/zoneinfo:/zones:ro"]
    assert row.command == "/bin/sleep 1000"
    # The kernel agrees: that process sleeps, in a cgroup that carries the id.
    assert Path(f"/proc/{row.pid}/cmdline").read_bytes() == b"/bin/sleep\x001000\x00"
    assert container_of_cgroup(Path(f"/proc/{row.pid}/cgroup").read_text()) == id_
    # ... and the process inventory calls the container by its name.
    processes, _ = run(runtime_process.COLLECTOR, host, epoch=1, clock=SystemClock())
    named = {p.pid: (p.container, p.container_name) for p in processes}
    assert named[row.pid] == (id_, "hauberk-web")
    assert named[os.getpid()] == ("", "")


def test_stopped_container_stays_listed(dockerd: Dockerd, host: LiveHost):
    stopped = dockerd.run("hauberk-done", ["/bin/sleep", "1000"])
    dockerd.stop(stopped)
    # Only made: starting a privileged one needs capabilities that a test machine may lack.
    made = dockerd.run(
        "hauberk-power", ["/bin/sleep", "1"], host_config={"Privileged": True}, start=False
    )
    rows = {r.id: r for r in _rows(container_container, host)}
    assert (rows[stopped].state, rows[stopped].pid, rows[stopped].privileged) == (
        "exited",
        None,
        False,
    )
    assert (rows[made].state, rows[made].pid, rows[made].privileged) == ("created", None, True)


def test_containerd_below_docker_names_the_same_container(
    dockerd: Dockerd, host: LiveHost, monkeypatch: pytest.MonkeyPatch
):
    id_ = dockerd.run("hauberk-below", ["/bin/sleep", "1000"])
    pid = dockerd.inspect(id_)["State"]["Pid"]
    (found,) = (c for c in Containerd(dockerd.containerd, host).containers() if c.id == id_)
    assert (found.state, found.pid, found.command) == ("running", pid, "/bin/sleep 1000")
    assert found.labels["containerd.namespace"] == "moby"
    # Asked through both sockets, it is still one container, with Docker's name.
    monkeypatch.setenv("HAUBERK_CONTAINER_SOCKETS", f"{dockerd.socket},{dockerd.containerd}")
    (row,) = (r for r in _rows(container_container, host) if r.id == id_)
    assert (row.name, row.runtime) == ("hauberk-below", "docker")


def test_a_containers_root_is_a_host(dockerd: Dockerd):
    id_ = dockerd.run(
        "hauberk-root",
        [
            "/bin/sh",
            "-c",
            (
                "echo ID=tiny >/etc/os-release; ln -s /etc/os-release /etc/link; "
                "ln -s ../../../../../../etc/shadow /etc/out; exec sleep 1000"
            ),
        ],
    )
    pid = dockerd.inspect(id_)["State"]["Pid"]
    with RootHost(f"/proc/{pid}/root") as root:
        deadline = time.monotonic() + 20
        while not _lexists(root, "/etc/out") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert root.read("/etc/link") == b"ID=tiny\n"
        assert root.readlink("/bin/sh") == "busybox"
        assert not root.exists("/etc/out")
        facts = workload_facts(root)
        assert (facts.os, facts.hostname) == ("tiny", id_[:12])


def _lexists(root: RootHost, path: str) -> bool:
    try:
        root.stat(path, follow=False)
    except PathMissing:
        return False
    return True


def test_image_registry_and_node(dockerd: Dockerd, host: LiveHost):
    image = next(r for r in _rows(container_image, host) if dockerd.image in r.tags)
    assert image.size_bytes == Path("/bin/busybox").stat().st_size
    registries = {r.name: r for r in _rows(container_registry, host)}
    assert registries["docker.io"].insecure is False
    assert registries["registry.test:5000"].insecure is True
    node = next(r for r in _rows(container_node, host) if r.socket == dockerd.socket)
    assert node.name == "docker"
    assert node.version == dockerd.api("GET", "/version")["Version"]
    assert node.storage == "vfs"
    assert node.images == 1
