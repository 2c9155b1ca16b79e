import hashlib

import pytest

from hauberk.assets import _config
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


def test_read_cuts_with_a_note_and_keeps_bytes():
    notes = Notes()
    host = DictHost({"/a": b"x" * 50 + b"\xff"})
    assert _config.read(host, "/a", notes, 10) == b"x" * 10
    assert [p.where for p in notes.problems] == ["/a"]
    assert _config.text(host, "/a", Notes()) == "x" * 50 + "\U0010ffff"
    assert _config.text(host, "/absent", Notes()) is None


def test_refusal_is_noted_and_absence_is_not():
    notes = Notes()
    host = DictHost({"/d/a": ""}, denied=["/d"])
    assert _config.read(host, "/d/a", notes) is None
    assert _config.names(host, "/d", notes) == []
    assert _config.stat(host, "/d/a", notes) is None
    assert len(notes.problems) == 3
    _config.names(host, "/absent", notes)
    _config.stat(host, "/absent", notes)
    assert len(notes.problems) == 3


def test_lines():
    assert list(_config.lines("a\n\n # c\n  b  \n")) == [(1, "a"), (4, "b")]
    assert [len(line) for _, line in _config.lines("x" * 100_000)] == [_config.LINE_LIMIT]
    assert sum(1 for _ in _config.lines("x\n" * 100_000)) == _config.MAX_LINES


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("/etc/n/*.conf", ["/etc/n/a.conf", "/etc/n/b.conf"]),
        ("/etc/*/b.conf", ["/etc/n/b.conf"]),
        ("/etc/n/[ab].conf", ["/etc/n/a.conf", "/etc/n/b.conf"]),
        ("/etc/n/?.txt", []),
        ("/etc/n/a.conf", ["/etc/n/a.conf"]),
        ("/etc/n/.h*", ["/etc/n/.hid.conf"]),
        ("/absent/*", []),
        ("/etc/n/[", []),
    ],
)
def test_glob(pattern, paths):
    host = DictHost({f"/etc/n/{n}": "" for n in ("a.conf", "b.conf", ".hid.conf", "c")})
    assert _config.glob(host, pattern, Notes()) == paths


def test_glob_is_bounded(monkeypatch):
    monkeypatch.setattr(_config, "MAX_ENTRIES", 5)
    host = DictHost({f"/a/{i}/{j}": "" for i in range(9) for j in range(9)})
    notes = Notes()
    assert len(_config.glob(host, "/a/*/*", notes)) == 5
    assert notes.problems != []


def test_accounts_and_homes():
    passwd = (
        "root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/root/:/bin/sh\nd:x:1:1::/:/x\n"
        "n:x:2:2::/nonexistent:/x\nbad:x:y:1::/z:/x\nshort:x:1\n"
    )
    host = DictHost({"/etc/passwd": passwd})
    assert [a.name for a in _config.accounts(host, Notes())] == ["root", "toor", "d", "n"]
    assert [(a.name, a.home) for a in _config.homes(host, Notes())] == [("root", "/root")]


def test_links():
    host = DictHost(
        {"/usr/bin/x1": ""}, links={"/usr/bin/x": "x1", "/bin/x": "../usr/bin/x", "/l": "/l"}
    )
    assert _config.link(host, "/bin/x") == "/usr/bin/x"
    assert _config.link(host, "/usr/bin/x1") == ""
    assert _config.real(host, "/bin/x") == "/usr/bin/x1"
    assert _config.real(host, "/l") == "/l"
    assert _config.is_file(host, "/bin/x", Notes())


def test_links_of_a_container_stay_in_it():
    host = DictHost(
        {
            "/etc/shadow": "secret",
            "/ctr/etc/shadow": "inner",
            "/ctr/data/n.conf": "x",
            "/ctr/sub/a/b": "y",
        },
        links={
            "/proc/7/root": "/ctr",
            "/ctr/etc/n.conf": "/etc/shadow",
            "/ctr/etc/ok": "../data/n.conf",
            "/ctr/etc/up": "../../../../etc/shadow",
            "/ctr/dir": "/sub/a",
            "/ctr/loop": "/loop",
            "/plain": "/etc/shadow",
        },
    )
    notes = Notes()
    assert _config.text(host, "/proc/7/root/etc/n.conf", notes) == "inner"
    assert _config.text(host, "/proc/7/root/etc/ok", notes) == "x"
    assert _config.text(host, "/proc/7/root/etc/up", notes) == "inner"
    assert _config.names(host, "/proc/7/root/dir", notes) == ["b"]
    assert _config.text(host, "/plain", notes) == "secret"
    assert notes.problems == []
    assert _config.read(host, "/proc/7/root/loop", notes) is None
    assert _config.stat(host, "/proc/7/root/loop/x", notes) is None
    assert len(notes.problems) == 2


def test_hash_and_password():
    assert _config.sha256(b"a") == hashlib.sha256(b"a").hexdigest()
    assert _config.without_password("http://u:p@h:1/x@y") == "http://h:1/x@y"
    assert _config.without_password("http://h/a") == "http://h/a"
