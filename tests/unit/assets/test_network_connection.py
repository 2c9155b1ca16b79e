import os
import socket

import pytest
from procfs import Procfs, inet_line, run

from hauberk.assets.network_connection import COLLECTOR, Connection
from hauberk.errors import NotLive
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost


def test_direction_by_listening_port():
    host = (
        Procfs()
        .add(10, b"web", exe="/web", start=5, sockets=[1, 2, 3])
        .table(
            10, "tcp",
            inet_line("00000000:0050", inode=1),
            inet_line("0100007F:0050", "0100007F:9C40", "01", inode=2),
            inet_line("0100007F:9C41", "08080808:01BB", "02", inode=3),
            inet_line("0100007F:9C42", "08080808:01BB", "06", inode=0),
        )
        .host()
    )  # fmt: skip
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert rows == [
        Connection(
            protocol="tcp", local_ip="127.0.0.1", local_port=80, remote_ip="127.0.0.1",
            remote_port=40000, direction="inbound", state="established", netns=1, pid=10,
            start_ns=50_000_000, name="web", exe="/web", uid=0,
        ),
        Connection(
            protocol="tcp", local_ip="127.0.0.1", local_port=40001, remote_ip="8.8.8.8",
            remote_port=443, direction="outbound", state="syn_sent", netns=1, pid=10,
            start_ns=50_000_000, name="web", exe="/web", uid=0,
        ),
    ]  # fmt: skip


def test_mapped_addresses_and_connected_udp():
    mapped = "0000000000000000FFFF00000100007F"
    host = (
        Procfs()
        .add(10, sockets=[2, 4])
        .table(10, "tcp6", inet_line(f"{mapped}:0050", f"{mapped}:9C40", "01", inode=2))
        .table(10, "udp", inet_line("0100007F:9C41", "08080808:0035", "01", inode=4))
        .host()
    )
    rows, _ = run(COLLECTOR, host)
    assert [(r.protocol, r.local_ip, r.remote_ip) for r in rows] == [
        ("tcp", "127.0.0.1", "127.0.0.1"),
        ("udp", "127.0.0.1", "8.8.8.8"),
    ]


def test_huge_table_is_bounded(monkeypatch):
    monkeypatch.setattr("hauberk.assets._proc_sockets.MAX_SOCKETS", 50)
    lines = [inet_line(f"0100007F:{n:04X}", "08080808:0035", "01", inode=n) for n in range(1, 99)]
    rows, _ = run(
        COLLECTOR, Procfs().add(10).table(10, "tcp", *lines).table(10, "udp", *lines).host()
    )
    assert 0 < len(rows) <= 50


def test_hostile_table():
    proc = Procfs().add(10)
    proc.files["/proc/10/net/tcp"] = b"\xff\x00" * 10_000
    assert run(COLLECTOR, proc.host()) == ([], [])


def test_needs_a_running_machine():
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({"/proc/1/stat": ""}, kind="root"))


def test_live_both_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                rows, _ = run(COLLECTOR, LiveHost())
                mine = client.getsockname()[1]
    inbound = next(r for r in rows if r.local_port == port)
    outbound = next(r for r in rows if r.remote_port == port)
    assert (inbound.direction, inbound.remote_port, inbound.pid) == ("inbound", mine, os.getpid())
    assert (outbound.direction, outbound.local_port) == ("outbound", mine)
    assert outbound.state == "established"
