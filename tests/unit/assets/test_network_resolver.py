import socket

import pytest
from procfs import run

from hauberk.assets.network_resolver import COLLECTOR, ResolverEntry
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost


def shown(rows):
    return [(r.kind, r.name, r.value, r.line) for r in rows]


def test_every_source():
    host = DictHost(
        {
            "/etc/resolv.conf": "; c\nnameserver 192.0.2.53 # x\nsearch a.example b.example\noptions edns0\nnameserver\n",
            "/etc/hosts": "127.0.0.1 localhost me # c\n#x y\n",
            "/etc/nsswitch.conf": "hosts: files  dns\nbroken\n",
            "/etc/systemd/resolved.conf": "[Resolve]\nDNS=1.1.1.1 9.9.9.9\nDNSOverTLS=yes\n",
            "/etc/environment": 'HTTPS_PROXY="http://user:secret@proxy.example:3128"\nPATH=/bin\n',
            "/etc/apt/apt.conf.d/01p": 'Acquire::http::Proxy "http://u:p@apt.example:1";\n',
        },
        kind="root",
    )
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert shown(rows) == [
        ("nameserver", "", "192.0.2.53", 2),
        ("search", "search", "a.example", 3),
        ("search", "search", "b.example", 3),
        ("option", "options", "edns0", 4),
        ("host", "localhost", "127.0.0.1", 1),
        ("host", "me", "127.0.0.1", 1),
        ("nsswitch", "hosts", "files dns", 1),
        ("nameserver", "DNS", "1.1.1.1", 2),
        ("nameserver", "DNS", "9.9.9.9", 2),
        ("option", "DNSOverTLS", "yes", 3),
        ("proxy", "HTTPS_PROXY", "http://proxy.example:3128", 1),
        ("proxy", "http", "http://apt.example:1", 1),
    ]


def test_passwords_never_appear():
    text = "export http_proxy=http://bob:hunter2@p:1 ; https_proxy='http://bob:hunter2@p:1'\n"
    rows, _ = run(COLLECTOR, DictHost({"/etc/profile": text}))
    assert len(rows) == 2
    assert "hunter2" not in repr(rows)


def test_nothing_there():
    assert run(COLLECTOR, DictHost({"/etc/x": ""})) == ([], [])


def test_refused_is_a_problem():
    rows, problems = run(COLLECTOR, DictHost({"/etc/x": ""}, denied=["/etc/hosts"]))
    assert rows == []
    assert [p.where for p in problems] == ["/etc/hosts"]


@pytest.mark.parametrize(
    "raw",
    [b"\xff\xfe" * 500_000, b"nameserver" * 200_000, b"\n" * 2_000_000, b"a" * 3_000_000, b"\x00"],
)
def test_hostile(raw):
    names = ("resolv.conf", "hosts", "nsswitch.conf", "environment", "systemd/resolved.conf")
    rows, _ = run(COLLECTOR, DictHost({f"/etc/{n}": raw for n in names}))
    assert len(rows) < 10


def test_bytes_survive_in_names():
    (row,), _ = run(COLLECTOR, DictHost({"/etc/hosts": b"10.0.0.1 h\xff\n"}))
    assert row == ResolverEntry(
        kind="host", name="h\U0010ffff", value="10.0.0.1", source="/etc/hosts", line=1
    )


def test_many_hosts_are_bounded(monkeypatch):
    monkeypatch.setattr("hauberk.assets.network_resolver.MAX_HOSTS", 10)
    text = "".join(f"10.0.0.1 h{n}\n" for n in range(50))
    rows, problems = run(COLLECTOR, DictHost({"/etc/hosts": text}))
    assert len(rows) == 10
    assert len(problems) == 1


def test_live_localhost_as_the_system_resolves_it():
    rows, _ = run(COLLECTOR, LiveHost())
    values = {r.value for r in rows if r.kind == "host" and r.name == "localhost"}
    assert socket.gethostbyname("localhost") in values
