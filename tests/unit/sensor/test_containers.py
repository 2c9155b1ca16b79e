from __future__ import annotations

import pytest

from hauberk.sensor import containers as containers_module
from hauberk.sensor.containers import WALK_EVERY_NS, Containers

ID = "ab" * 32
OTHER = "cd" * 32
SECOND = 1_000_000_000


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "cg"
    top.mkdir()
    (top / "cgroup.controllers").write_text("")
    return top


def make(root, path):
    folder = root / path
    folder.mkdir(parents=True)
    return folder.stat().st_ino


@pytest.mark.parametrize(
    "path",
    [
        f"libpod-{ID}",
        f"system.slice/docker-{ID}.scope",
        f"kubepods/pod{OTHER}/cri-containerd-{ID}.scope",
    ],
)
def test_falls_back_to_the_id_in_the_path(root, path):
    inode = make(root, path)
    assert Containers((str(root),)).name(inode, 0) == ID


def test_names_given_also_serve_cgroups_below(root):
    above = make(root, f"libpod-{ID}")
    below = make(root, f"libpod-{ID}/init.scope/x")
    containers = Containers((str(root),))
    containers.set({above: "web"})
    assert containers.name(above, 0) == "web"
    assert containers.name(below, 0) == "web"
    containers.set({})
    assert containers.name(below, 0) == ID


def test_names_given_also_serve_cgroups_beside(root):
    first = make(root, f"docker-{ID}.scope/init.scope")
    second = make(root, f"docker-{ID}.scope/system.slice/ssh.service")
    other = make(root, f"docker-{OTHER}.scope/init.scope")
    containers = Containers((str(root),))
    containers.set({first: "web"})
    assert [containers.name(c, 0) for c in (first, second, other)] == ["web", "web", OTHER]


def test_no_container_and_gone_cgroup(root):
    plain = make(root, "system.slice/ssh.service")
    containers = Containers((str(root),))
    assert containers.name(plain, 0) == ""
    assert containers.name(999_999_999, WALK_EVERY_NS) == ""
    assert containers.name(0, 0) == ""


def test_a_new_cgroup_is_found_by_walking_again_but_not_all_the_time(root):
    containers = Containers((str(root),))
    assert containers.name(1 << 60, 0) == ""
    inode = make(root, f"docker-{ID}.scope")
    assert containers.name(inode, 1) == ""
    assert containers.cached(inode) is None
    assert containers.name(inode, WALK_EVERY_NS + 1) == ID


def test_without_a_unified_hierarchy(tmp_path):
    containers = Containers((str(tmp_path),))
    assert containers.name(5, 0) == ""
    assert containers.id_of("/x") == 0


def test_id_of_a_path(root):
    inode = make(root, "a/b")
    containers = Containers((str(root / "none"), str(root)))
    assert containers.id_of("/a/b") == inode
    assert containers.id_of("/a/none") == 0


def test_a_walk_over_very_many_cgroups_is_not_repeated_at_once(root, monkeypatch):
    spent = iter([0.0, 2.0, 5.0, 5.0, 9.0, 9.0])
    monkeypatch.setattr(containers_module.time, "thread_time", lambda: next(spent))
    containers = Containers((str(root),))
    assert containers.name(1 << 60, 0) == ""
    inode = make(root, f"docker-{ID}.scope")
    assert containers.name(inode, 99 * SECOND) == ""
    assert containers.name(inode, 100 * SECOND) == ID


def test_no_more_cgroups_than_a_bound_are_kept(root, monkeypatch):
    monkeypatch.setattr(containers_module, "MOST", 3)
    for n in range(9):
        make(root, f"a{n}/b/c")
    containers = Containers((str(root),))
    containers.set({})
    assert len(containers._paths) <= 3 + 9
