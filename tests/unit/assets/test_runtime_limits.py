import os
import resource
import subprocess
import sys

import pytest
from procfs import CONTAINER, Procfs, run

from hauberk.assets.runtime_limits import COLLECTOR, ServiceLimits, parse_limits, variable_names
from hauberk.errors import NotLive
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max stack size            8388608              unlimited            bytes
Max core file size        0                    unlimited            bytes
Max processes             4096                 8192                 processes
Max open files            1024                 524288               files
Max locked memory         65536                65536                bytes
Max address space         unlimited            unlimited            bytes
Max realtime timeout      unlimited            unlimited            us
"""
ENVIRON = (
    b"LD_PRELOAD=/tmp/evil.so\0DB_PASSWORD=hunter2\0AWS_SECRET_ACCESS_KEY=hunter2\0"
    b"https_proxy=http://u:hunter2@p\0HOME=/\0=odd\0novalue\0bad name=1\0\xff=1\0"
)


def test_names_only_and_limits():
    host = Procfs().add(7, b"db", exe="/db", limits=LIMITS, environ=ENVIRON).host()
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert rows == [
        ServiceLimits(
            pid=7, start_ns=1_000_000_000, name="db", exe="/db", open_files=1024,
            open_files_hard=524288, processes=4096, core_size=0, locked_memory=65536,
            stack=8388608, address_space=-1, inject_variables=["LD_PRELOAD"],
            secret_variables=["AWS_SECRET_ACCESS_KEY", "DB_PASSWORD"],
            proxy_variables=["https_proxy"], variables=5,
        )
    ]  # fmt: skip
    assert "hunter2" not in repr(rows)


def test_which_processes_are_services():
    service = "0::/system.slice/x.service\n"
    host = (
        Procfs()
        .add(10, exe="/a", ppid=1, limits="", environ="")
        .add(11, exe="/b", ppid=10, cgroup=service, limits="", environ="")
        .add(12, exe="/c", ppid=10, cgroup=f"0::/docker/{CONTAINER}\n", limits="", environ="")
        .add(13, exe="/d", ppid=10, limits="", environ="")
        .add(14, exe="/e", ppid=1, tty=34816, limits="", environ="")
        .host()
    )
    rows, _ = run(COLLECTOR, host)
    assert [r.pid for r in rows] == [10, 11, 12]
    assert rows[0].open_files is None


@pytest.mark.parametrize(
    "raw", [b"", b"Max open files\n", b"Max open files   x  y\n", b"\xff" * 9000, b"Max a   1 "]
)
def test_hostile_limits(raw):
    assert parse_limits(raw) == {}


def test_hostile_environment():
    assert variable_names(b"=" * 100_000) == []
    assert variable_names(b"a" * 300_000 + b"=1") == []
    host = (
        Procfs()
        .add(7, exe="/x", limits=b"\xff", environ=b"TOKEN_%=1\0" * 10 + b"T_TOKEN=1\0" * 90_000)
        .host()
    )
    (row,), _ = run(COLLECTOR, host)
    assert row.secret_variables == ["T_TOKEN"]


def test_denied_is_noted():
    host = Procfs().add(7, exe="/x", limits="", environ="").host(denied=["/proc/7/environ"])
    rows, problems = run(COLLECTOR, host)
    assert rows == []
    assert "denied" in problems[0].what


def test_vanished_is_no_problem():
    assert run(COLLECTOR, Procfs().add(7, exe="/x").host()) == ([], [])


def test_needs_a_running_machine():
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({}))


def test_live_own_daemon():
    # A double fork makes a child of PID 1 (or of the nearest reaper, which is then no service).
    code = "import sys,time; print('up', flush=True); sys.stdin.read()"
    env = {"PATH": os.environ["PATH"], "MY_API_KEY": "hunter2"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"up\n"
        host = LiveHost()
        raw = host.head(f"/proc/{child.pid}/environ", 4096)
        limits = parse_limits(host.head(f"/proc/{child.pid}/limits", 8192))
        rows, _ = run(COLLECTOR, host)
        child.stdin.close()
        child.wait(10)
    assert set(variable_names(raw)) >= {"PATH", "MY_API_KEY"}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits["Max open files"] == (soft, hard)
    assert "hunter2" not in repr(rows)
