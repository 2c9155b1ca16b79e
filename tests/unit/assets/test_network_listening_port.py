import os
import socket
import subprocess
import sys

import pytest
from procfs import CONTAINER, Procfs, inet_line, run

from hauberk.assets.network_listening_port import COLLECTOR, ListeningPort
from hauberk.errors import NotLive
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost

ANY6 = "0" * 32


def test_join_of_two_namespaces():
    host = (
        Procfs()
        .add(10, b"nginx", exe="/usr/sbin/nginx", start=5, sockets=[100, 102], netns=1)
        .add(11, b"nginx", exe="/usr/sbin/nginx", ppid=10, start=6, uid=(33, 33), sockets=[100], netns=1)
        .add(20, b"redis", exe="/usr/bin/redis", start=9, uid=(999, 999), sockets=[200], netns=2,
             cgroup=f"0::/docker/{CONTAINER}\n")
        .table(10, "tcp", inet_line("00000000:0050", inode=100), inet_line("0100007F:0051", state="01", inode=5))
        .table(10, "tcp6", inet_line(f"{ANY6}:01BB", inode=999, uid=7))
        .table(10, "udp", inet_line("0100007F:0035", state="07", inode=102))
        .table(20, "tcp", inet_line("0100007F:18EB", inode=200))
        .host()
    )  # fmt: skip
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert rows == [
        ListeningPort(
            protocol="tcp", address="0.0.0.0", port=80, netns=1, pid=10, start_ns=50_000_000,
            name="nginx", exe="/usr/sbin/nginx", uid=0, exposed=True, sharers=2,
        ),
        ListeningPort(protocol="tcp", address="::", port=443, netns=1, uid=7, exposed=True, orphan=True),
        ListeningPort(
            protocol="udp", address="127.0.0.1", port=53, netns=1, pid=10, start_ns=50_000_000,
            name="nginx", exe="/usr/sbin/nginx", uid=0, sharers=1,
        ),
        ListeningPort(
            protocol="tcp", address="127.0.0.1", port=6379, netns=2, pid=20, start_ns=90_000_000,
            name="redis", exe="/usr/bin/redis", uid=999, container=CONTAINER, container_name=CONTAINER[:12], sharers=1,
        ),
    ]  # fmt: skip


def test_reuseport_of_one_process_is_one_port():
    host = (
        Procfs()
        .add(10, b"a", exe="/a", sockets=[1, 2])
        .table(10, "udp", *(inet_line("00000000:14E9", state="07", inode=i) for i in (1, 2)))
        .host()
    )
    rows, _ = run(COLLECTOR, host)
    assert len(rows) == 1


def test_no_orphans_where_not_every_process_could_be_read():
    host = (
        Procfs().add(1).add(10, sockets=[1]).table(10, "tcp", inet_line("00000000:0016", inode=5))
    ).host(denied=["/proc/1/fd"])
    (row,), problems = run(COLLECTOR, host)
    assert not row.orphan
    assert row.pid == 0
    assert len(problems) == 1


def test_process_gone_between_the_reads():
    proc = Procfs().add(10, sockets=[1]).table(10, "tcp", inet_line("00000000:0016", inode=1))
    del proc.files["/proc/10/stat"]
    (row,), problems = run(COLLECTOR, proc.host())
    assert row.orphan
    assert problems == []


@pytest.mark.parametrize("table", [b"", b"\x00" * 5000, b"x\n" * 5000, b"\xff\n\xfe:\xfd\n"])
def test_hostile_tables(table):
    proc = Procfs().add(10)
    for name in ("tcp", "tcp6", "udp", "udp6", "unix"):
        proc.files[f"/proc/10/net/{name}"] = table
    rows, problems = run(COLLECTOR, proc.host())
    assert rows == []
    assert problems == []


def test_needs_a_running_machine():
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({"/etc/x": ""}))


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "tcp", "127.0.0.1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "udp", "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_STREAM, "tcp", "::1"),
    ],
)
def test_live_own_listener(family, kind, protocol, address):
    with socket.socket(family, kind) as sock:
        sock.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        port = sock.getsockname()[1]
        rows, _ = run(COLLECTOR, LiveHost())
        inode = os.fstat(sock.fileno()).st_ino
    (row,) = [r for r in rows if (r.protocol, r.port) == (protocol, port)]
    assert (row.address, row.pid, row.orphan, row.exposed) == (address, os.getpid(), False, False)
    assert row.exe == os.path.realpath(sys.executable)
    assert row.netns == os.stat("/proc/self/ns/net").st_ino
    assert inode > 0


def test_live_unix_listener(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        rows, _ = run(COLLECTOR, LiveHost())
    (row,) = [r for r in rows if r.address == path]
    assert (row.protocol, row.pid, row.port) == ("unix", os.getpid(), 0)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")
def test_live_listener_of_another_namespace():
    code = (
        "import socket,sys\n"
        "s=socket.socket(); s.bind(('0.0.0.0', 4711)); s.listen()\n"
        "print('up', flush=True); sys.stdin.read()\n"
    )
    argv = ["unshare", "--net", sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout.readline() == b"up\n"
            rows, _ = run(COLLECTOR, LiveHost())
        finally:
            child.stdin.close()
            child.wait(10)
    (row,) = [r for r in rows if r.port == 4711]
    assert row.pid == child.pid
    assert row.netns != os.stat("/proc/self/ns/net").st_ino
