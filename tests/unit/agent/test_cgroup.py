import errno
from pathlib import Path

import pytest

from hauberk.agent import cgroup
from hauberk.agent.cgroup import URGENT_WEIGHT, WEIGHT, OwnCgroup, cap_pct
from hauberk.schema.link import Budget

BUDGET = Budget(event_pct=10.0, memory_bytes=100 << 20)
FILES = {
    "cpu": ["cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares", "cpu.stat"],
    "memory": ["memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.stat"],
    "blkio": ["blkio.weight"],
}
FILES_V2 = {
    "cpu": ["cpu.max", "cpu.weight", "cpu.stat"],
    "memory": ["memory.high", "memory.max", "memory.stat"],
    "io": ["io.weight"],
}


def hierarchy(path):
    """A process is in one group of each."""
    return next((p for p in path.parts if p in {*FILES, "unified"}), "")


class FakeTree:
    """A hierarchy in memory that behaves like the kernel's: groups bring their control files."""

    def __init__(self, mounts, own, pid=7):
        self.files, self.groups, self.refuse = {}, set(), {}
        self.files[Path("/proc/self/mountinfo")] = "\n".join(
            f"{n} 1 0:{n} {root} {place} rw - {kind} none rw,{options}"
            for n, (root, place, kind, options) in enumerate(mounts)
        )
        self.own, self.pid = own, pid
        self.files[Path("/proc/self/cgroup")] = own

    def group(self, path, v2="", procs=(), v1=""):
        """Make a group with the files of its controllers."""
        path = Path(path)
        self.groups.add(path)
        self.files[path / "cgroup.procs"] = " ".join(map(str, procs))
        if v2 is not None and not v1:
            self.files[path / "cgroup.controllers"] = v2
            self.files[path / "cgroup.subtree_control"] = ""
        for name in FILES.get(v1, []):
            self.files[path / name] = "0"

    def _check(self, path, act):
        for (part, what), number in self.refuse.items():
            if what == act and str(path).endswith(part):
                raise OSError(number, "refused", str(path))

    def read(self, path):
        self._check(path, "read")
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return self.files[path]

    def write(self, path, text):
        self._check(path, "write")
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        if path.name == "cgroup.procs":
            for other in self.groups:
                if hierarchy(other) == hierarchy(path):
                    at = other / "cgroup.procs"
                    self.files[at] = " ".join(p for p in self.files[at].split() if p != text)
            self.files[path] = f"{self.files[path]} {text}".strip()
            return
        if path.name == "cgroup.subtree_control":
            if self.files[path.parent / "cgroup.procs"]:
                raise OSError(errno.EBUSY, "Device or resource busy", str(path))
            name = text.removeprefix("+")
            self.files[path] += f" {name}"
            for child in self.groups:
                if child.parent == path.parent:
                    for file in FILES_V2[name]:
                        self.files[child / file] = "0"
            return
        self.files[path] = text

    def mkdir(self, path):
        self._check(path, "mkdir")
        if path in self.groups:
            return
        if path.parent not in self.groups:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        v1 = next((c for c in FILES if f"/{c}/" in f"{path}/"), "")
        parent = path.parent
        given = self.files.get(parent / "cgroup.subtree_control", "")
        self.group(path, v2=given, v1=v1)
        for name in given.split():
            for file in FILES_V2[name]:
                self.files[path / file] = "0"

    def rmdir(self, path):
        self._check(path, "rmdir")
        if path not in self.groups:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        if self.files[path / "cgroup.procs"]:
            raise OSError(errno.EBUSY, "busy", str(path))
        self.groups.discard(path)
        self.files = {p: t for p, t in self.files.items() if p.parent != path}


def v1_tree(own="4:memory:/a\n1:cpu:/\n7:blkio:/\n0::/"):
    tree = FakeTree(
        [
            ("/", "/cg/cpu", "cgroup", "cpu"),
            ("/", "/cg/memory", "cgroup", "memory"),
            ("/", "/cg/blkio", "cgroup", "blkio"),
            ("/", "/cg/unified", "cgroup2", "nsdelegate"),
        ],
        own,
    )
    for name, path in (("cpu", "/cg/cpu"), ("memory", "/cg/memory/a"), ("blkio", "/cg/blkio")):
        tree.group(path, v1=name, procs=[1, 7])
    tree.group("/cg/unified", v2="hugetlb", procs=[1, 7])
    return tree


def v2_tree(procs=(7,), controllers="cpu io memory pids", own="0::/", root="/"):
    tree = FakeTree([(root, "/cg", "cgroup2", "rw")], own)
    tree.group("/cg", v2=controllers, procs=procs)
    return tree


@pytest.fixture
def make(tmp_path):
    def made(tree):
        return OwnCgroup(tmp_path, tree=tree, pid=7)

    return made


def test_the_cap_leaves_the_event_grant_whatever_background_work_does():
    assert cap_pct(BUDGET) - 100.0 == BUDGET.event_pct


def test_hybrid_uses_the_v1_controllers_each_where_it_was(make):
    tree = v1_tree()
    own = make(tree)
    own.enter(BUDGET)
    assert own.by == "cgroup1"
    cpu, memory = Path("/cg/cpu") / own.name, Path("/cg/memory/a") / own.name
    assert tree.files[cpu / "cpu.cfs_quota_us"] == "110000"
    assert tree.files[cpu / "cpu.shares"] == "1024"
    assert tree.files[memory / "memory.limit_in_bytes"] == str(100 << 20)
    assert tree.files[memory / "cgroup.procs"] == "7"
    assert "cpu.cfs_quota_us 110000" in own.detail
    assert tree.files[Path("/cg/cpu/cgroup.procs")].split()[0] == "1"
    own.change(Budget(event_pct=50.0, memory_bytes=200 << 20))
    assert tree.files[cpu / "cpu.cfs_quota_us"] == "150000"
    own.urge(True)
    assert tree.files[cpu / "cpu.shares"] == "10240"
    assert tree.files[cpu / "cpu.cfs_quota_us"] == "150000"
    own.urge(False)
    assert tree.files[cpu / "cpu.shares"] == "1024"
    own.leave()
    assert not [g for g in tree.groups if own.name in str(g)]
    assert "7" in tree.files[Path("/cg/cpu/cgroup.procs")].split()


def test_what_is_read_back_is_told_not_what_was_written(make):
    tree = v1_tree()
    write = tree.write

    def rounding(path, text):
        write(path, "104861696" if path.name == "memory.limit_in_bytes" else text)

    tree.write = rounding
    own = make(tree)
    own.enter(BUDGET)
    assert "memory.limit_in_bytes 104861696" in own.detail


def test_v2_at_the_root_of_a_container_of_its_own(make):
    tree = v2_tree()
    own = make(tree)
    own.enter(BUDGET)
    group = Path("/cg") / own.name
    assert own.by == "cgroup2"
    assert tree.files[group / "cpu.max"] == "110000 100000"
    assert tree.files[group / "cpu.weight"] == str(WEIGHT)
    own.urge(True)
    assert tree.files[group / "cpu.weight"] == str(URGENT_WEIGHT)
    assert tree.files[group / "memory.max"] == str(100 << 20)
    assert tree.files[group / "memory.high"] == str(int((100 << 20) * 0.8))
    own.leave()
    assert tree.files[Path("/cg/cgroup.procs")] == "7"
    assert group not in tree.groups


def test_v2_never_moves_others_it_paces_and_says_why(make):
    tree = v2_tree(procs=(1, 7))
    own = make(tree)
    own.enter(BUDGET)
    assert own.by == "pacing"
    assert "busy" in own.detail
    own.change(Budget(event_pct=50.0))
    own.urge(True)
    assert "busy" in own.detail  # the reason still holds
    assert tree.files[Path("/cg/cgroup.procs")].split() == ["1", "7"]
    assert Path("/cg") / own.name not in tree.groups


def test_v2_takes_its_own_launcher_along_and_nobody_else(tmp_path):
    """It stays as the parent after an upgrade, and would leave the agent without bounds."""
    tree = v2_tree(procs=(6, 7))
    own = OwnCgroup(tmp_path, tree=tree, pid=7, launcher=6)
    own.enter(BUDGET)
    assert own.by == "cgroup2"
    assert tree.files[Path("/cg") / own.name / "cgroup.procs"].split() == ["7", "6"]
    tree = v2_tree(procs=(1, 6, 7))
    own = OwnCgroup(tmp_path, tree=tree, pid=7, launcher=6)
    own.enter(BUDGET)
    assert own.by == "pacing"
    assert tree.files[Path("/cg/cgroup.procs")].split() == ["1", "6", "7"]


def test_no_bound_is_so_small_that_the_agent_cannot_start(make):
    tree = v2_tree()
    own = make(tree)
    own.enter(Budget(memory_bytes=1 << 20))
    assert tree.files[Path("/cg") / own.name / "memory.max"] == str(cgroup.LEAST_MEMORY)


def test_a_unit_of_systemd_is_used_only_when_delegated(make, monkeypatch):
    tree = v2_tree(own="0::/system.slice/hauberk-agent.service")
    unit = "/cg/system.slice/hauberk-agent.service"
    tree.group("/cg/system.slice", v2="cpu memory")
    tree.group(unit, v2="cpu memory", procs=[7])
    own = make(tree)
    own.enter(BUDGET)
    assert own.by == "pacing"
    assert "Delegate=yes" in own.detail
    monkeypatch.setattr(cgroup, "_delegated", lambda _path: True)
    own = make(tree)
    own.enter(BUDGET)
    assert own.by == "cgroup2"
    assert str(Path(unit) / own.name) in own.detail


def test_a_read_only_hierarchy_means_pacing(make):
    tree = v2_tree()
    tree.refuse = {("", "mkdir"): errno.EROFS}
    own = make(tree)
    own.enter(BUDGET)
    assert (own.by, "refused" in own.detail) == ("pacing", True)
    assert own.memory() is None
    assert own.throttled_s() == 0.0


def test_without_any_hierarchy(make):
    own = make(FakeTree([], "0::/"))
    own.enter(BUDGET)
    assert (own.by, "no cgroup hierarchy" in own.detail) == ("pacing", True)


def test_one_controller_that_is_refused_is_named(make):
    tree = v1_tree()
    tree.refuse = {("/cg/memory/a/" + make(tree).name, "mkdir"): errno.EACCES}
    own = make(tree)
    own.enter(BUDGET)
    assert own.by == "cgroup1"
    assert "no bound of memory" in own.detail
    assert "memory: refused" in own.detail


def test_the_leftover_of_a_killed_agent_is_taken_over(make):
    tree = v1_tree()
    make(tree).enter(BUDGET)
    again = make(tree)
    again.enter(BUDGET)
    assert again.by == "cgroup1"
    inside = v1_tree(own=f"4:memory:/a/{again.name}\n1:cpu:/{again.name}\n0::/")
    inside.group(f"/cg/cpu/{again.name}", v1="cpu", procs=[7])
    inside.group(f"/cg/memory/a/{again.name}", v1="memory", procs=[7])
    third = make(inside)
    third.enter(BUDGET)
    assert third.by == "cgroup1"
    third.leave()
    assert not [g for g in inside.groups if third.name in str(g)]


def test_an_uninstall_removes_what_was_left(make, tmp_path):
    tree = v1_tree()
    own = make(tree)
    own.enter(BUDGET)
    assert cgroup.remove_left(tmp_path, tree=tree) == []  # the process is still in it
    for group in [g for g in tree.groups if own.name in str(g)]:
        tree.files[group / "cgroup.procs"] = ""
    assert len(cgroup.remove_left(tmp_path, tree=tree)) == 3
    assert cgroup.remove_left(tmp_path, tree=tree) == []


def test_a_list_that_names_others_groups_removes_nothing(tmp_path):
    tree = v1_tree()
    tree.group("/cg/cpu/theirs", v1="cpu")
    (tmp_path / "cgroup.json").write_text('{"groups": ["/cg/cpu/theirs"]}')
    assert cgroup.remove_left(tmp_path, tree=tree) == []
    (tmp_path / "cgroup.json").write_text("{")
    assert cgroup.remove_left(tmp_path, tree=tree) == []


def test_memory_and_throttling_are_read(make):
    tree = v1_tree()
    own = make(tree)
    own.enter(BUDGET)
    tree.files[Path("/cg/memory/a") / own.name / "memory.stat"] = "cache 5\nrss 1234\n"
    tree.files[Path("/cg/cpu") / own.name / "cpu.stat"] = (
        "nr_periods 1\nthrottled_time 2500000000\n"
    )
    assert own.memory() == (1234, 100 << 20)
    assert own.throttled_s() == 2.5


def test_a_path_outside_of_the_mount_falls_back_to_what_is_shown(make):
    tree = v2_tree(own="0::/docker/abc", root="/docker/abc")
    own = make(tree)
    own.enter(BUDGET)
    assert own.by == "cgroup2"
