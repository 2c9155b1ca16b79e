import struct
import subprocess

from hauberk.assets import access_login as module
from hauberk.host.memory import DictHost

FORM = "<h2xi32s4s32s256shhiii16s20x"
BOOT, USER, DEAD = 2, 7, 8
S = 10**9


def record(kind, user=b"", line=b"", host=b"", seconds=0, pid=9):
    return struct.pack(FORM, kind, pid, line, b"", user, host, 0, 0, 0, seconds, 0, b"\0" * 16)


WTMP = (
    record(BOOT, b"reboot", b"~", b"6.1.0", 100)
    + record(USER, b"ann", b"pts/0", b"192.0.2.9", 110)
    + record(DEAD, b"", b"pts/0", b"", 150)
    + record(USER, b"ann", b"pts/0", b"192.0.2.9", 160)
    + record(USER, b"bob", b"tty1", b"", 170)
    + record(BOOT, b"reboot", b"~", b"6.1.0", 200)
    + record(USER, b"ann", b"pts/0", b"192.0.2.9", 210)
)
BTMP = (
    record(USER, b"ann", b"ssh", b"203.0.113.5", 300)
    + record(USER, b"ann", b"ssh", b"203.0.113.5", 310)
    + record(USER, b"hunter2", b"ssh", b"203.0.113.5", 320)
)
FILES = {
    "/proc/sys/kernel/arch": "x86_64\n",
    "/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n",
    "/run/utmp": record(USER, b"ann", b"pts/0", b"192.0.2.9", 210, 77)
    + record(USER, b"bob", b"pts/1", b"", 220, 78)
    + record(DEAD, b"", b"pts/2", b"", 5),
    "/run/systemd/sessions/3": (
        "# Private\nUSER=bob\nCLASS=user\nSTATE=active\nTTY=pts/1\nREMOTE_HOST=192.0.2.1\n"
        "LEADER=78\nSERVICE=sshd\nREALTIME=220000000\n"
    ),
    "/run/systemd/sessions/4": "USER=root\nCLASS=manager\n",
    "/run/systemd/sessions/3.ref": b"",
    "/var/log/wtmp": WTMP,
    "/var/log/btmp": BTMP,
}


def test_sessions_now_and_before(rows):
    found = rows(module, DictHost(FILES, kind="live"))
    active = {r.user: r for r in found if r.kind == "active"}
    assert (active["ann"].source, active["ann"].login_ns, active["ann"].pid) == (
        "192.0.2.9",
        210 * S,
        77,
    )
    assert (active["bob"].service, active["bob"].login_ns, active["bob"].source) == (
        "sshd",
        220 * S,
        "192.0.2.1",
    )
    past = [(r.user, r.login_ns // S, r.logout_ns // S) for r in found if r.kind == "past"]
    assert past == [("ann", 110, 150), ("ann", 160, 200), ("bob", 170, 200)]
    assert [r.login_ns // S for r in found if r.kind == "boot"] == [100, 200]


def test_failed_ones_are_summed_and_typed_passwords_not_kept(rows):
    found = rows(module, DictHost(FILES, kind="live"))
    failed = {r.user: (r.attempts, r.last_ns // S) for r in found if r.kind == "failed"}
    assert failed == {"ann": (2, 310), "(name not kept)": (1, 320)}
    assert "hunter2" not in str(found)


def test_a_dead_machine_has_nobody_in(rows):
    found = rows(module, DictHost(FILES, kind="root"))
    assert not [r for r in found if r.kind == "active"]
    assert [r for r in found if r.kind == "past"]


def test_only_the_tail_of_a_long_history_is_read(rows):
    long = b"".join(record(BOOT, seconds=n) for n in range(1, 5001))
    found = rows(module, DictHost({**FILES, "/var/log/wtmp": long}, kind="live"))
    boots = [r.login_ns // S for r in found if r.kind == "boot"]
    assert boots == list(range(3001, 5001))


def test_damage_is_noted(collect):
    found, proof = collect(module, DictHost({**FILES, "/var/log/wtmp": WTMP + b"xx"}, kind="live"))
    assert [r for r in found if r.kind == "past"]
    assert (proof.outcome, proof.problems[0].where) == ("partial", "/var/log/wtmp")


def test_this_machine(live):
    found = live(module)
    said = subprocess.run(["who"], capture_output=True, text=True, check=True).stdout
    assert {r.user for r in found if r.kind == "active"} >= {
        line.split()[0] for line in said.splitlines()
    }


def test_hostile_input(hostile):
    hostile(module, FILES)


def test_a_machine_that_keeps_no_history_is_not_one_where_nobody_was(collect):
    without = {p: t for p, t in FILES.items() if not p.startswith("/var/log/")}
    found, proof = collect(module, DictHost(without, kind="live"))
    assert {r.kind for r in found} == {"active"}
    assert (proof.outcome, proof.full) == ("partial", False)
    assert [p.where for p in proof.problems] == ["/var/log/wtmp", "/var/log/btmp"]
