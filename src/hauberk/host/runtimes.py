"""Finds the container runtimes of the live machine by their sockets."""

from __future__ import annotations

import os
import stat as st_mode

from hauberk.assets._cgroups import container_of_cgroup
from hauberk.ports import ContainerRuntime, Host

from .containerd import Containerd
from .docker import DockerApi

__all__ = ["container_of_cgroup", "find_runtimes"]

SOCKETS = (
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
)


def find_runtimes(host: Host, extra: str = "") -> list[ContainerRuntime]:
    """Runtimes whose socket exists; nothing is sent to them yet.

    Args:
        host: the live machine, for containerd's state files.
        extra: more sockets, comma separated (HAUBERK_CONTAINER_SOCKETS).
    """
    found: list[ContainerRuntime] = []
    seen: set[str] = set()
    for path in (*SOCKETS, *(p.strip() for p in extra.split(","))):
        real = os.path.realpath(path) if path else ""
        if not real or real in seen or not _is_socket(real):
            continue
        seen.add(real)
        if "containerd" in path:
            found.append(Containerd(path, host))
        else:
            found.append(DockerApi(path, "podman" if "podman" in path else "docker"))
    return found


def _is_socket(path: str) -> bool:
    try:
        return st_mode.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        # Not there, or not ours to see: there is nothing to talk to either way.
        return False
