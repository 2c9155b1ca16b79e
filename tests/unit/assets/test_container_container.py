import pytest

from hauberk.assets import container_container as module
from hauberk.errors import HostError
from hauberk.host.memory import DictHost, DictRuntime
from hauberk.ports import ContainerInfo

ID = "0f" * 32
WEB = ContainerInfo(
    id=ID,
    name="web",
    runtime="docker",
    image="nginx:1",
    state="running",
    pid=42,
    labels={"b": "2", "a": "1"},
    ports=["0.0.0.0:80->80/tcp"],
    privileged=True,
)


def host(*runtimes, kind="live", **files):
    return DictHost(files, kind=kind, runtimes=runtimes)


def test_one_row_per_container(rows):
    docker = DictRuntime(held_containers=[WEB])
    same = DictRuntime(
        "containerd",
        "/c.sock",
        held_containers=[ContainerInfo(id=ID, name=ID, runtime="containerd")],
    )
    (row,) = rows(module, host(docker, same))
    assert (row.id, row.name, row.runtime, row.pid) == (ID, "web", "docker", 42)
    assert (row.labels, row.privileged, row.created_ns) == (["a=1", "b=2"], True, None)


def test_one_silent_runtime_does_not_hide_the_other(collect):
    dead = DictRuntime("podman", "/p.sock", error=HostError("down"))
    found, proof = collect(module, host(dead, DictRuntime(held_containers=[WEB])))
    assert [r.name for r in found] == ["web"]
    assert (proof.outcome, proof.problems[0].where) == ("partial", "/p.sock")


def test_a_runtime_that_cannot_be_asked_is_said(collect):
    _, proof = collect(module, host(**{"/run/crio/crio.sock": ""}))
    assert proof.outcome == "partial"
    assert "CRI-O" in proof.problems[0].what


@pytest.mark.parametrize(("kind", "outcome"), [("live", "ok"), ("root", "not_applicable")])
def test_no_runtime(collect, kind, outcome):
    found, proof = collect(module, host(kind=kind))
    assert (found, proof.outcome) == ([], outcome)


def test_this_machine(live):
    # Without a runtime socket there is nothing to list; with one, ids are 64 hex digits or names.
    for row in live(module):
        assert row.id
        assert row.runtime in ("docker", "podman", "containerd")


def test_a_runtime_that_restarts_does_not_make_its_containers_gone(collect):
    _, proof = collect(module, host(DictRuntime(error=HostError("down"))))
    assert (proof.outcome, proof.full) == ("partial", False)


def test_containers_that_only_their_cgroups_show_are_said(collect):
    files = {
        "/proc/7/cgroup": f"0::/system.slice/other-{ID}.scope\n",
        "/proc/8/cgroup": "0::/system.slice/ssh.service\n",
    }
    found, proof = collect(module, host(**files))
    assert (found, proof.outcome, proof.full) == ([], "partial", False)
    assert proof.problems[0].where == "/proc/7/cgroup"
    assert "1 running containers that no runtime" in proof.problems[0].what
    _, named = collect(module, host(DictRuntime(held_containers=[WEB]), **files))
    assert named.outcome == "ok"
