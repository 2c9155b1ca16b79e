import os

import pytest
from procfs import run

from hauberk.assets.persistence_service import COLLECTOR
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node

UNIT = "[Unit]\nDescription=Web\n[Service]\nType=simple\nExecStartPre=/bin/pre\nExecStart=/usr/sbin/web -x\nUser=www\nRestart=always\nEnvironmentFile=-/etc/default/web\n[Install]\nWantedBy=multi-user.target\n"


def found(host):
    rows, problems = run(COLLECTOR, host)
    return {(r.scope, r.name): r for r in rows}, problems


def test_states():
    lib = "/usr/lib/systemd/system"
    rows, problems = found(
        DictHost(
            {
                f"{lib}/web.service": UNIT,
                f"{lib}/off.service": UNIT,
                f"{lib}/static.service": "[Service]\nExecStart=/s\n",
                f"{lib}/also.service": "[Service]\nExecStart=/s\n[Install]\nAlso=web.service\n",
                f"{lib}/web.socket": "[Socket]\nListenStream=80\nListenStream=/run/web.sock\n",
                f"{lib}/w.path": "[Path]\nPathExists=/tmp/x\n",
                f"{lib}/multi-user.target": "[Unit]\n",
                "/run/systemd/generator/gen.service": "[Service]\nExecStart=/g\n",
            },
            links={
                "/etc/systemd/system/multi-user.target.wants/web.service": f"{lib}/web.service",
                "/etc/systemd/system/no.service": "/dev/null",
                "/etc/systemd/system/alias.service": f"{lib}/web.service",
            },
            kind="root",
        )
    )
    assert problems == []
    states = {name: r.state for (_, name), r in rows.items()}
    assert states == {
        "web.service": "enabled", "off.service": "disabled", "static.service": "static",
        "also.service": "indirect", "web.socket": "static", "w.path": "static",
        "gen.service": "generated", "no.service": "masked", "alias.service": "alias",
    }  # fmt: skip
    web = rows["system", "web.service"]
    assert (web.exec_start, web.exec_other, web.user) == (
        ["/usr/sbin/web -x"],
        ["ExecStartPre=/bin/pre"],
        "www",
    )
    assert (web.description, web.unit_type, web.restart) == ("Web", "simple", "always")
    assert (web.enabled_by, web.environment_files) == (["multi-user.target"], ["-/etc/default/web"])
    assert (web.active, len(web.sha256)) == (None, 64)
    assert rows["system", "web.socket"].listens == ["80", "/run/web.sock"]
    assert rows["system", "w.path"].listens == ["PathExists=/tmp/x"]


def test_active_by_control_group():
    files = {
        "/usr/lib/systemd/system/a.service": UNIT,
        "/usr/lib/systemd/system/b.service": UNIT,
        "/run/systemd/system/": "",
        "/sys/fs/cgroup/system.slice/a.service/cgroup.procs": "7\n",
    }
    rows, _ = found(DictHost(files, kind="live"))
    assert rows["system", "a.service"].active is True
    assert rows["system", "b.service"].active is False


def test_scripts():
    lsb = "#!/bin/sh\n### BEGIN INIT INFO\n# Short-Description: Old thing \n### END INIT INFO\n"
    rows, _ = found(
        DictHost(
            {
                "/etc/init.d/old": Node(lsb, mode=0o755),
                "/etc/init.d/off": Node("#!/bin/sh\n", mode=0o755),
                "/etc/init.d/README": "text",
                "/etc/init.d/web": Node("#!/bin/sh\n", mode=0o755),
                "/usr/lib/systemd/system/web.service": UNIT,
            },
            links={"/etc/rc2.d/S01old": "../init.d/old", "/etc/rc2.d/K01off": "../init.d/off"},
        )
    )
    scripts = {
        name: (r.state, r.description, r.alias_of) for (s, name), r in rows.items() if s == "sysv"
    }
    assert scripts == {
        "old": ("enabled", "Old thing", ""),
        "off": ("disabled", "", ""),
        "web": ("alias", "", "web.service"),
    }


def test_unit_of_a_user():
    rows, _ = found(
        DictHost(
            {
                "/etc/passwd": "bob:x:1000:1000::/home/bob:/bin/sh\n",
                "/home/bob/.config/systemd/user/evil.service": "[Service]\nExecStart=/home/bob/.x\n",
            },
            links={
                "/home/bob/.config/systemd/user/default.target.wants/evil.service": "../evil.service"
            },
        )
    )
    evil = rows["user:bob", "evil.service"]
    assert (evil.state, evil.exec_start) == ("enabled", ["/home/bob/.x"])


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 300_000,
        b"\x00" * 10,
        b"[Service]\nExecStart=" * 20_000,
        b"[" * 300_000,
        b"a\\\n" * 90_000,
    ],
)
def test_hostile_units(raw):
    rows, problems = found(
        DictHost({"/etc/systemd/system/x.service": raw, "/etc/init.d/y": Node(raw, mode=0o755)})
    )
    assert {name for _, name in rows} == {"x.service", "y"}
    assert len(problems) <= 2
    assert all(len(e) <= 8192 for r in rows.values() for e in r.exec_start)


def test_refused_is_a_problem():
    rows, problems = found(DictHost({}, denied=["/etc/systemd/system"]))
    assert rows == {}
    assert {p.where for p in problems} == {"/etc/systemd/system"}


def test_live_every_unit_file_of_the_machine():
    rows, _ = found(LiveHost())
    folder = "/usr/lib/systemd/system"
    if not os.path.isdir(folder):
        pytest.skip("this machine has no systemd units")
    listed = {n for n in os.listdir(folder) if n.endswith((".service", ".socket"))}
    assert listed <= {name for scope, name in rows if scope == "system"}
    for (scope, _), row in rows.items():
        if scope == "system" and row.state == "masked" and os.path.islink(row.path):
            assert os.path.realpath(row.path) == "/dev/null"
