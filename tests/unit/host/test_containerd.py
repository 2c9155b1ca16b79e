import json

import pytest

from hauberk.errors import HostError
from hauberk.host.containerd import Containerd
from hauberk.host.memory import DictHost

SOCKET = "/run/containerd/containerd.sock"
TOP = "/run/containerd/io.containerd.runtime.v2.task"
ID = "d0" * 32
CRI = "io.kubernetes.cri."


def config(**more):
    return json.dumps({"process": {"args": ["nginx", "-g"]}, **more})


def test_pod_container_gets_its_names():
    host = DictHost(
        {
            f"{TOP}/k8s.io/{ID}/config.json": config(
                annotations={
                    f"{CRI}container-name": "web",
                    f"{CRI}container-type": "container",
                    f"{CRI}image-name": "docker.io/library/nginx:1",
                    f"{CRI}sandbox-name": "shop-7f",
                    f"{CRI}sandbox-namespace": "prod",
                },
                mounts=[
                    {"type": "bind", "source": "/a", "destination": "/b", "options": ["ro"]},
                    {"type": "proc", "source": "proc", "destination": "/proc"},
                ],
                linux={
                    "namespaces": [{"type": "network", "path": "/proc/9/ns/net"}],
                    "maskedPaths": ["/proc/kcore"],
                },
            ),
            f"{TOP}/k8s.io/{ID}/init.pid": "4242",
            "/proc/4242/comm": "nginx",
        },
        kind="live",
    )
    (found,) = Containerd(SOCKET, host).containers()
    assert found.name == "prod/shop-7f/web"
    assert found.image == "docker.io/library/nginx:1"
    assert (found.state, found.pid, found.command) == ("running", 4242, "nginx -g")
    assert found.mounts == ["/a:/b:ro"]
    assert (found.privileged, found.network_mode) == (False, "ns:/proc/9/ns/net")


def test_sandbox_privileged_and_ended():
    host = DictHost(
        {
            f"{TOP}/k8s.io/{ID}/config.json": config(
                annotations={
                    f"{CRI}container-type": "sandbox",
                    f"{CRI}sandbox-name": "p",
                    f"{CRI}sandbox-namespace": "n",
                },
                process={"args": ["/pause"], "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}},
            ),
            f"{TOP}/default/plain/config.json": config(linux={"namespaces": [{"type": "network"}]}),
            f"{TOP}/default/plain/init.pid": "junk",
        },
        kind="live",
    )
    plain, sandbox = Containerd(SOCKET, host).containers()
    assert (plain.name, plain.state, plain.pid, plain.network_mode) == (
        "plain",
        "exited",
        0,
        "private",
    )
    assert (sandbox.name, sandbox.privileged, sandbox.network_mode) == ("n/p/pause", True, "host")


def test_no_tasks_is_none_and_broken_state_is_said():
    assert Containerd(SOCKET, DictHost(kind="live")).containers() == []
    for text in ("", "{", "[]", '{"process": 5}', "\xff", '{"mounts": {"a": 1}}'):
        broken = DictHost({f"{TOP}/default/{ID}/config.json": text}, kind="live")
        with pytest.raises(HostError, match="not an OCI runtime config"):
            Containerd(SOCKET, broken).containers()


def test_registries_and_storage_of_the_configuration():
    toml = (
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\nsnapshotter = "zfs"\n'
        '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/certs"\n'
        '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\n'
        'endpoint = ["https://mirror.test"]\n'
    )
    host = DictHost({"/etc/containerd/config.toml": toml, "/certs/quay.io/hosts.toml": ""})
    runtime = Containerd(SOCKET, host)
    assert runtime.registries() == ["docker.io", "https://mirror.test", "quay.io"]
    assert runtime.storage() == "zfs"
    bare = Containerd(SOCKET, DictHost())
    assert (bare.registries(), bare.storage()) == ([], "overlayfs")


@pytest.mark.parametrize(
    "toml", ["[", "plugins = 5", "plugins = {a = 1}", "plugins.a.registry = 7"]
)
def test_hostile_configuration(toml):
    runtime = Containerd(SOCKET, DictHost({"/etc/containerd/config.toml": toml}))
    if toml == "[":
        with pytest.raises(HostError, match="not TOML"):
            runtime.registries()
    else:
        assert runtime.registries() == []


def test_what_only_grpc_tells_is_not_made_up():
    for call in (Containerd(SOCKET, DictHost()).version, Containerd(SOCKET, DictHost()).images):
        with pytest.raises(HostError, match="over gRPC"):
            call()
