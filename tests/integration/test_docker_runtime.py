"""Containers of a real Docker engine, found through its socket and joined to real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest_docker import Dockerd, dockerd

from hauberk.assets import (
    container_container,
    container_image,
    container_node,
    container_registry,
)
from hauberk.host.clock import SystemClock
from hauberk.host.collect import run
from hauberk.host.live import LiveHost
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
