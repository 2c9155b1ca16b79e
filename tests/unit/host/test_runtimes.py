import socket

import pytest

from hauberk.host.containerd import Containerd
from hauberk.host.docker import DockerApi
from hauberk.host.memory import DictHost
from hauberk.host.runtimes import container_of_cgroup, find_runtimes

ID = "0f" * 32
OTHER = "a1" * 32


@pytest.fixture
def listen(tmp_path):
    opened = []

    def make(name):
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(tmp_path / name))
        opened.append(made)
        return str(tmp_path / name)

    yield make
    for made in opened:
        made.close()


def test_only_sockets_count_and_each_once(listen, tmp_path):
    docker, podman, containerd = (
        listen("docker.sock"),
        listen("podman.sock"),
        listen("containerd.s"),
    )
    (tmp_path / "file.sock").write_text("")
    (tmp_path / "again.sock").symlink_to(docker)
    extra = ", ".join(
        [docker, podman, containerd, f"{tmp_path}/file.sock", f"{tmp_path}/again.sock", "/none", ""]
    )
    found = [r for r in find_runtimes(DictHost(), extra) if r.socket.startswith(str(tmp_path))]
    assert [(type(r), r.name, r.socket) for r in found] == [
        (DockerApi, "docker", docker),
        (DockerApi, "podman", podman),
        (Containerd, "containerd", containerd),
    ]


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
        f"/machine.slice/libpod-{ID}.scope",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/libpod_parent/libpod-{ID}",
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        f"/kubepods/burstable/pod5c1e1d6e-0000-4000-8000-1234567890ab/{ID}",
        f"/kubepods.slice/kubepods-pod5c1e1d6e_0000.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope",
        f"/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{ID}",
        f"/docker/{OTHER}/kubelet/kubepods/besteffort/pod1/{ID}",
        f"12:pids:/\n1:name=systemd:/docker/{ID}\n0::/system.slice\n",
    ],
)
def test_container_of_cgroup(path):
    assert container_of_cgroup(path) == ID


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/user.slice/user-0.slice",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/system.slice/crio-conmon-{ID}.scope",
        f"/docker/{ID[:-1]}",
        f"/docker/{ID}0",
        f"/docker/{ID.upper()}",
        "/" * 100_000,
        "f" * 100_000,
        "\U0010ff80" * 10,
    ],
)
def test_no_container_in_other_cgroups(path):
    assert container_of_cgroup(path) == ""
