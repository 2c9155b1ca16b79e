import pytest

from hauberk.assets import container_node as module
from hauberk.errors import HostError
from hauberk.host.memory import DictHost, DictRuntime
from hauberk.ports import ContainerInfo, ImageInfo

FILES = {
    "/var/lib/kubelet/config.yaml": (
        "kind: KubeletConfiguration\nauthentication:\n  anonymous:\n    enabled: true\n"
        "authorization:\n  mode: AlwaysAllow\nreadOnlyPort: 10255\n"
    ),
    "/etc/kubernetes/kubelet.conf": (
        "clusters:\n- cluster:\n    server: https://10.0.0.1:6443\n  name: k\n"
        "users:\n- user:\n    token: SECRETSECRET\n"
    ),
}


def test_runtime_node(rows):
    runtime = DictRuntime(
        held_version="24.0",
        held_containers=[
            ContainerInfo(id="1", name="a", runtime="docker", state="running"),
            ContainerInfo(id="2", name="b", runtime="docker", state="exited"),
        ],
        held_images=[ImageInfo(id="i", runtime="docker")],
    )
    (row,) = rows(module, DictHost(kind="live", runtimes=[runtime]))
    assert (row.kind, row.name, row.version, row.storage) == (
        "runtime",
        "docker",
        "24.0",
        "overlay2",
    )
    assert (row.containers, row.running, row.images) == (2, 1, 1)


def test_a_silent_runtime_is_a_node_without_figures(collect):
    dead = DictRuntime(error=HostError("down"))
    (row,), proof = collect(module, DictHost(kind="live", runtimes=[dead]))
    assert (row.version, row.containers, row.images) == ("", None, None)
    assert proof.outcome == "partial"


def test_kubelet(rows):
    (row,) = rows(module, DictHost(FILES, kind="root"))
    assert (row.kind, row.cluster) == ("kubelet", "https://10.0.0.1:6443")
    assert (row.anonymous, row.authorization, row.read_only_port) == (True, "AlwaysAllow", 10255)
    assert "SECRETSECRET" not in str(row)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {x: 1}\nb:\n  <<: *a\n",
        "- just\n- a list\n",
        "a: [",
        "clusters: 5",
        "clusters: [5]",
        "authentication: x",
        "readOnlyPort: 99999999999999999999",
        "x: 2026-99-99",
        "!!python/object/apply:os.system [id]",
    ],
)
def test_hostile_yaml(collect, text):
    found, proof = collect(
        module,
        DictHost(
            {"/var/lib/kubelet/config.yaml": text, "/etc/kubernetes/kubelet.conf": text},
            kind="live",
        ),
    )
    assert proof.outcome in ("ok", "partial")
    assert all(r.anonymous is None and r.cluster == "" for r in found)


def test_no_runtime(collect, live):
    assert collect(module, DictHost())[1].outcome == "not_applicable"
    for row in live(module):
        assert row.kind in ("runtime", "kubelet")


def test_hostile_input(hostile):
    hostile(module, FILES)
