import os
import shutil
import subprocess
import sys
import time

import pytest
from procfs import CONTAINER, Procfs, run, stat_line

from hauberk.assets import _proc
from hauberk.assets.runtime_process import COLLECTOR, Process
from hauberk.errors import HostError, NotLive
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node
from hauberk.schema.asset import columns_of
from hauberk.schema.text import from_bytes, to_bytes


def test_every_field():
    host = (
        Procfs()
        .add(
            42, b"web (x) y", exe="/usr/bin/web (deleted)", argv=["web", "", b"\xff\xfe", "-x"],
            ppid=7, start=1234, uid=(1000, 33),
            cgroup=f"1:cpu:/\n0::/system.slice/docker-{CONTAINER}.scope\n",
        )
        .host({"/etc/passwd": "www-data:x:33:33::/var/www:/bin/sh\n"})
    )  # fmt: skip
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert rows == [
        Process(
            pid=42, start_ns=12_340_000_000, ppid=7, name="web (x) y", exe="/usr/bin/web",
            exe_deleted=True, argv=["web", "", from_bytes(b"\xff\xfe"), "-x"], uid=33,
            real_uid=1000, gid=6, real_gid=5, user="", container=CONTAINER, container_name=CONTAINER[:12],
            cgroup=f"/system.slice/docker-{CONTAINER}.scope", state="S", threads=5,
            rss=12 * 1024, cpu_s=0.07,
        )
    ]  # fmt: skip
    assert rows[0].key() == "42\x1f12340000000"


def test_user_name_outside_containers_only():
    proc = Procfs().add(5, uid=(33, 33), exe="/bin/x")
    (row,), _ = run(COLLECTOR, proc.host({"/etc/passwd": "www-data:x:33:33::/:/bin/sh\nbad\n"}))
    assert (row.user, row.container) == ("www-data", "")


def test_kernel_thread_costs_one_read():
    host = DictHost({"/proc/2/stat": stat_line(2, b"kthreadd", flags=0x208040, ppid=0)})
    (row,), problems = run(COLLECTOR, host)
    assert row.kernel
    assert (row.uid, row.exe, row.argv) == (0, "", [])
    assert problems == []


def test_vanished_process_is_no_problem():
    # Only the stat record was still there when it was read.
    host = DictHost({"/proc/9/stat": stat_line(9), "/proc/10/": ""})
    rows, problems = run(COLLECTOR, host)
    assert rows == []
    assert problems == []


def test_refused_executable_is_one_note_and_keeps_the_rest():
    proc = Procfs()
    for pid in (3, 4, 5):
        proc.add(pid, b"init", argv=["/sbin/init"])
    host = proc.host(denied=["/proc/3/exe", "/proc/4/exe"])
    real = host.readlink

    def readlink(path):
        if path in ("/proc/3/exe", "/proc/4/exe"):
            host.read(path)
        return real(path)

    host.readlink = readlink
    rows, problems = run(COLLECTOR, host)
    assert [r.argv for r in rows] == [["/sbin/init"]] * 3
    assert len(problems) == 1
    assert "2 processes denied" in problems[0].what
    assert problems[0].where == "/proc/3/exe"


@pytest.mark.parametrize(
    "stat",
    [b"", b"garbage", b"1 (x", b"1 (x) S 1 2", b"x (y) " + b"S 1 " * 30, b"\xff" * 5000,
     b"1 (" + b"a" * 4000, b"1 (a) S " + b"9" * 5000 + b" 1" * 30,
     b"7 (another) S " + b"1 " * 30, b"1 (a) S " + b"1 " * 10 + b"9" * 400 + b" 1" * 30],
)  # fmt: skip
def test_malformed_stat_is_noted(stat):
    rows, problems = run(COLLECTOR, DictHost({"/proc/1/stat": stat}))
    assert rows == []
    assert [p.where for p in problems] == ["/proc/1/stat"]


def test_hostile_status_cgroup_and_arguments():
    proc = Procfs().add(6, exe="/x", cgroup=b"\xff:\n::\n0\n" * 1000)
    proc.files["/proc/6/status"] = b"Uid:\nUid: a b\n\nUid:\t" + b"9" * 4000 + b"\nVmRSS: x kB\n"
    proc.files["/proc/6/cmdline"] = b"a\0" * 200_000
    (row,), problems = run(COLLECTOR, proc.host())
    assert (row.uid, row.rss, row.container) == (-1, 0, "")
    assert row.argv_truncated
    assert len(row.argv) == 64 * 1024
    assert problems == []


def test_unreadable_kind_of_file_is_noted():
    proc = Procfs().add(6, exe="/x")
    proc.files["/proc/6/cgroup"] = Node(kind="other")
    rows, problems = run(COLLECTOR, proc.host())
    assert rows == []
    assert problems[0].where == "/proc/6"


def test_needs_a_running_machine():
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({"/etc/passwd": "x"}))
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({"/proc/1/stat": "x"}, kind="root"))
    with pytest.raises(HostError):
        run(COLLECTOR, DictHost({}, denied=["/proc"]))


def test_columns_have_titles():
    assert {c.name for c in columns_of(Process)} >= {"pid", "start_ns", "exe", "container"}


def test_live_own_child_with_bytes_that_are_not_utf8():
    argv = [
        sys.executable.encode(),
        b"-c",
        b"import time; time.sleep(60)",
        b"\xff\x00"[:1],
        b"",
        b"\xe4\xb8\xad",
    ]
    with subprocess.Popen(argv) as child:
        try:
            rows, _ = run(COLLECTOR, LiveHost())
        finally:
            child.kill()
    row = next(r for r in rows if r.pid == child.pid)
    assert [to_bytes(a) for a in row.argv] == argv
    assert row.ppid == os.getpid()
    assert row.exe == os.path.realpath(sys.executable)
    assert (row.uid, row.gid) == (os.geteuid(), os.getegid())
    assert row.rss > 0
    mine = next(r for r in rows if r.pid == os.getpid())
    assert mine.start_ns <= row.start_ns


def test_live_count_equals_proc():
    def listed():
        return {int(n) for n in os.listdir("/proc") if n.isdecimal()}

    before = listed()
    rows, _ = run(COLLECTOR, LiveHost())
    steady = before & listed()
    found = {r.pid for r in rows}
    assert steady <= found
    with open("/proc/stat") as file:
        assert any(line.startswith("btime") for line in file)


def cgroup2_mount():
    with open("/proc/mounts") as file:
        return next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), "")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a control group")
@pytest.mark.skipif(
    not os.access(cgroup2_mount() or "/nowhere", os.W_OK), reason="needs a cgroup2 mount"
)
def test_live_container_by_its_control_group():
    group = f"{cgroup2_mount()}/hauberk-test-{CONTAINER}"[: -len(CONTAINER) - 1] + f"/{CONTAINER}"
    os.makedirs(group)
    try:
        with subprocess.Popen(["sleep", "60"]) as child:
            try:
                with open(f"{group}/cgroup.procs", "w") as file:
                    file.write(str(child.pid))
                rows, _ = run(COLLECTOR, LiveHost())
            finally:
                child.kill()
    finally:
        os.rmdir(group)
        os.rmdir(os.path.dirname(group))
    row = next(r for r in rows if r.pid == child.pid)
    assert row.container == CONTAINER
    assert row.cgroup.endswith(f"hauberk-test/{CONTAINER}")
    assert row.user == ""


def test_many_huge_command_lines_are_bounded_together(monkeypatch):
    monkeypatch.setattr(_proc, "ARGV_TOTAL", 200_000)
    made = Procfs()
    for pid in range(10, 60):
        made.add(pid, argv=["evil", *["ab"] * 10_000])
    found, problems = run(COLLECTOR, made.host())
    assert problems == []
    assert len(found) == 50
    assert all(r.argv[:2] == ["evil", "ab"] for r in found)
    assert found[-1].argv_truncated
    held = sum(len(r.argv) for r in found)
    assert held < 25_000


def test_a_program_whose_name_ends_like_the_kernels_mark_is_not_deleted(tmp_path):
    path = tmp_path / "sshd (deleted)"
    shutil.copy("/bin/sleep", path)
    with subprocess.Popen([str(path), "60"]) as child:
        try:
            while os.readlink(f"/proc/{child.pid}/exe") != str(path):
                time.sleep(0.01)
            assert _proc.read_exe(LiveHost(), child.pid) == (str(path), False)
            path.unlink()
            assert _proc.read_exe(LiveHost(), child.pid) == (str(path), True)
        finally:
            child.kill()
