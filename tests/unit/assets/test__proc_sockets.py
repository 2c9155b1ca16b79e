import ipaddress
import socket

import pytest
from procfs import Procfs, inet_line

from hauberk.assets import _proc_sockets
from hauberk.ports import Notes


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000", "0.0.0.0"),
        ("00000000000000000000000001000000", "::1"),
        ("00000000000000000000000000000000", "::"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
        ("B80D0120000000000000000001000000", "2001:db8::1"),
        ("000080FE00000000FF00FC0001000000", "fe80::fc:ff:0:1"),
    ],
)
def test_address(text, address):
    assert _proc_sockets.address(text) == address


@pytest.mark.parametrize("seed", range(20))
def test_address_against_the_library(seed):
    raw = bytes((seed * 37 + i * 11) % 256 for i in range(16))
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, 16, 4)).hex().upper()
    shown = socket.inet_ntop(socket.AF_INET6, raw)
    assert ipaddress.ip_address(_proc_sockets.address(words)) == ipaddress.ip_address(shown)


@pytest.mark.parametrize("text", ["", "zz", "01", "0100007F00"])
def test_bad_address(text):
    with pytest.raises(ValueError):
        _proc_sockets.address(text)


@pytest.mark.parametrize(
    "raw",
    [b"", b"head\n", b"head\n0: x y z\n", b"head\n" + b"\xff" * 1000, b"head\n" + b"1 " * 100,
     b"head\n0: 0100007F:GG 0:0 0A 0:0 0:0 0 0 0 1\n", b"head\n" + b"0" * 1_000_000],
)  # fmt: skip
def test_hostile_tables_give_nothing(raw):
    assert list(_proc_sockets.parse_inet(raw, "tcp")) == []
    assert list(_proc_sockets.parse_unix(raw)) == []


def test_table_lines_are_bounded():
    line = inet_line("0100007F:0016").encode() + b"\n"
    raw = b"head\n" + line * (_proc_sockets.MAX_SOCKETS + 10)
    assert sum(1 for _ in _proc_sockets.parse_inet(raw, "tcp")) < _proc_sockets.MAX_SOCKETS


def test_unix_paths_are_bytes():
    raw = (
        b"Num RefCount Protocol Flags Type St Inode Path\n"
        b"0: 2 0 00010000 0001 01 900 /run/a b\xff\n"
        b"0: 2 0 00000000 0001 03 901 /run/connected\n"
        b"0: 2 0 00010000 0001 01 902\n"
        b"0: 2 0 00010000 0001 01 903 @abstract\n"
    )
    found = list(_proc_sockets.parse_unix(raw, 5))
    assert [(s.inode, s.netns) for s in found] == [(900, 5), (903, 5)]
    assert found[1].local_ip == "@abstract"


def test_oldest_holder_owns_and_pid_1_only_when_alone():
    host = (
        Procfs()
        .add(1, b"init", exe="/sbin/init", start=1, sockets=[50, 51])
        .add(30, b"worker", exe="/srv", ppid=20, start=9, sockets=[50])
        .add(20, b"master", exe="/srv", start=8, uid=(0, 0), sockets=[50])
        .host()
    )
    notes = Notes()
    owners = _proc_sockets.Owners(host, _proc_sockets.scan(host, notes))
    owner = owners.of(50)
    assert owner is not None
    assert (owner.pid, owner.name, owner.start_ns, owner.sharers) == (20, "master", 80_000_000, 3)
    alone = owners.of(51)
    assert alone is not None
    assert alone.pid == 1
    assert owners.of(99) is None
    assert owners.of(0) is None
    assert notes.problems == []


def test_scan_of_denied_descriptors_is_incomplete():
    host = Procfs().add(1, b"init").add(2, b"x", sockets=[7]).host(denied=["/proc/1/fd"])
    notes = Notes()
    found = _proc_sockets.scan(host, notes)
    assert not found.complete
    assert found.holders == {7: [2]}
    assert "1 processes denied" in notes.problems[0].what


def test_descriptors_of_all_processes_are_bounded_together(monkeypatch):
    monkeypatch.setattr(_proc_sockets, "MAX_DESCRIPTORS", 30)
    made = Procfs()
    for pid in range(10, 20):
        made.add(pid, sockets=range(900, 920), netns=pid)
    notes = Notes()
    found = _proc_sockets.scan(made.host(), notes)
    assert sum(map(len, found.holders.values())) <= 30
    assert len(found.namespaces) == 10
    assert not found.complete
    assert ["more than 30 open descriptors" in p.what for p in notes.problems] == [True]
