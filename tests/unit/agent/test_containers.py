from types import SimpleNamespace

from hauberk.agent.containers import names


def test_names_by_the_inode_of_the_cgroup(tmp_path):
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    inner = root / "machine/abc"
    inner.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("")
    for pid, line in (
        (10, "1:name=systemd:/x\n0::/machine/abc\n"),
        (11, "0::/\n"),
        (13, "0::/gone\n"),
    ):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cgroup").write_text(line)
    rows = [
        SimpleNamespace(pid=10, name="web", id="abc"),
        SimpleNamespace(pid=11, name="host-cgroup", id="d"),
        SimpleNamespace(pid=12, name="ended", id="e"),
        SimpleNamespace(pid=13, name="vanished", id="f"),
        SimpleNamespace(pid=0, name="stopped", id="g"),
    ]
    found = names(rows, proc=str(proc), roots=[str(tmp_path / "none"), str(root)])
    assert found == {inner.stat().st_ino: "web"}
    assert names(rows, proc=str(proc), roots=[]) == {}
