from __future__ import annotations

import os
from pathlib import Path

import pytest

from hauberk.errors import BadInput
from hauberk.sensor import procfs
from hauberk.sensor.procfs import TCP_LISTEN, ProcFs, parse_net_tcp, parse_stat


def test_stat_with_a_hostile_name():
    rest = " ".join(["S", "42", *["0"] * 17, "250", "0"]).encode()
    name, ppid, start = parse_stat(b"7 (a) S 1 (b c) " + rest)
    assert (name, ppid) == ("a) S 1 (b c", 42)
    assert start == 250 * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("data", [b"", b"7 (sh", b"7 (sh) S", b"7 (sh) S x " + b"0 " * 30])
def test_stat_that_is_cut_or_not_numbers(data):
    with pytest.raises(BadInput, match="/proc/PID/stat"):
        parse_stat(data)


def test_net_tcp_rows(proc):
    text = proc.NET_HEAD + proc.row(("127.0.0.1", 80), ("0.0.0.0", 0), TCP_LISTEN, 77, uid=33)
    (row,) = parse_net_tcp(text.encode(), 5, (TCP_LISTEN,))
    assert (row.src_ip, row.src_port, row.inode, row.uid, row.netns) == ("127.0.0.1", 80, 77, 33, 5)


def test_net_tcp6_row():
    line = (
        "h\n 0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A "
        "0:0 00:0 0 0 0 9 1\n"
    )
    (row,) = parse_net_tcp(line.encode(), 1, (TCP_LISTEN,))
    assert (row.src_ip, row.src_port, row.dst_ip) == ("::1", 8080, "::")


@pytest.mark.parametrize(
    "line", ["0: 0100007F", "0: zz:1 00000000:0000 0A 0 0 0 0 0 1", "0: 01:1 00:0 0A 0 0 0 0 0 1"]
)
def test_net_tcp_that_is_cut_names_the_line(line):
    with pytest.raises(BadInput, match="/proc/net/tcp:2"):
        list(parse_net_tcp(f"head\n{line}\n".encode(), 1, (TCP_LISTEN,)))


def test_process(proc):
    proc.add(9, "my app", ppid=3, start_ticks=200, exe="/opt/app (deleted)", cmdline=b"app\0\xff\0",
             uid=1000, gid=50)  # fmt: skip
    process = ProcFs(str(proc.root)).process(9)
    assert (process.name, process.ppid, process.uid, process.gid) == ("my app", 3, 1000, 50)
    assert process.exe == "/opt/app"
    assert process.argv == ["app", "\U0010ffff"]


def test_what_is_gone_is_none_not_an_error(proc):
    reader = ProcFs(str(proc.root))
    assert reader.process(1) is None
    assert reader.cmdline(1) is None
    assert reader.cgroup_path(1) is None
    assert reader.netns(1) is None
    assert reader.connections(1, [1], (TCP_LISTEN,)) == []
    assert reader.pids() == []


def test_a_missing_proc_is_an_error(tmp_path):
    with pytest.raises(OSError, match="none"):
        ProcFs(str(tmp_path / "none")).pids()


def test_owners_and_namespaces(proc):
    proc.add(3, netns=100, sockets=[501, 502])
    proc.add(4, netns=200, sockets=[502])
    reader = ProcFs(str(proc.root))
    assert reader.namespaces() == {100: [3], 200: [4]}
    assert reader.owners({501, 502, 999}) == {501: 3, 502: 3}
    assert reader.owners(()) == {}


def test_connections_through_the_next_process_when_one_is_gone(proc):
    proc.add(4, tcp=proc.row(("10.0.0.1", 22), ("0.0.0.0", 0), TCP_LISTEN, 5))
    rows = ProcFs(str(proc.root)).connections(1, [3, 4], (TCP_LISTEN,))
    assert [(r.src_ip, r.src_port) for r in rows] == [("10.0.0.1", 22)]


def test_the_real_proc_tells_about_this_process():
    process = ProcFs().process(os.getpid())
    assert process.ppid == os.getppid()
    assert process.uid == os.getuid()
    assert Path(process.exe).samefile("/proc/self/exe")


def test_a_process_that_names_terabytes_as_its_arguments_is_read_in_part(proc):
    proc.add(9, cmdline=b"app\0")
    # What prctl(PR_SET_MM_MAP) gives: an area as large as the process likes.
    with (proc.root / "9/cmdline").open("r+b") as file:
        file.truncate(1 << 40)
    process = ProcFs(str(proc.root)).process(9)
    assert process.argv[0] == "app"
    assert process.argv_truncated
    assert len(ProcFs(str(proc.root)).cmdline(9)) <= procfs.CMDLINE_BYTES + procfs.READ_BYTES


def test_the_search_for_owners_ends(proc, monkeypatch):
    monkeypatch.setattr(procfs, "MOST_DESCRIPTORS", 5)
    proc.add(3, sockets=range(500, 510))
    proc.add(4, sockets=[777])
    assert 777 not in ProcFs(str(proc.root)).owners({777})
    monkeypatch.setattr(procfs, "MOST_DESCRIPTORS", 11)
    assert ProcFs(str(proc.root)).owners({777}) == {777: 4}
