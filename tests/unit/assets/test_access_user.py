import pwd
import struct

from hauberk.assets import access_user as module
from hauberk.host.memory import DictHost


def lastlog(seconds, line, source):
    return struct.pack("<I32s256s", seconds, line, source)


FILES = {
    "/etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        "ann:x:1000:1000:Ann,,,:/home/ann:\n"
        "old:$1$abc$hashhash:1001:100::/home/old:/bin/sh\n"
        "open::1002:100::/home/open:/bin/sh\n"
    ),
    "/etc/shadow": (
        "root:!:19500:0:99999:7:::\nann:$y$j9T$SALTSALT$HASHHASH:19600:1:90:14:30:20000:\n"
    ),
    "/etc/group": "root:x:0:\nsudo:x:27:ann\nann:x:1000:\nusers:x:100:ann,ghost\n",
    "/etc/login.defs": "UID_MIN 1000\n",
    "/var/log/lastlog": lastlog(1700000000, b"tty1", b"")
    + lastlog(1, b"pts/0", b"192.0.2.9\0junk"),
}


def by_name(found):
    return {r.name: r for r in found}


def test_accounts(rows):
    found = by_name(rows(module, DictHost(FILES)))
    ann = found["ann"]
    assert (ann.uid, ann.full_name, ann.groups) == (1000, "Ann", ["ann", "sudo", "users"])
    assert (ann.interactive, ann.system) == (True, False)
    assert (ann.password, ann.hash_algorithm, ann.password_store) == ("set", "yescrypt", "shadow")
    assert (ann.password_changed, ann.expires) == ("2023-08-31", "2024-10-04")
    assert (ann.min_days, ann.max_days, ann.warn_days, ann.inactive_days) == (1, 90, 14, 30)
    assert (found["root"].password, found["daemon"].password) == ("locked", "none")
    assert (found["daemon"].interactive, found["daemon"].system) == (False, True)
    assert (found["old"].password_store, found["old"].hash_algorithm) == ("passwd", "md5crypt")
    assert found["open"].password == "empty"


def test_last_logins(rows):
    found = by_name(rows(module, DictHost(FILES)))
    assert found["root"].last_login_ns == 1700000000 * 10**9
    assert (found["root"].last_login_from, found["daemon"].last_login_from) == ("tty1", "192.0.2.9")
    assert found["ann"].last_login_ns is None


def test_no_hash_leaves_the_machine(rows):
    text = str(rows(module, DictHost(FILES)))
    assert "HASHHASH" not in text
    assert "SALT" not in text
    assert "hashhash" not in text


def test_without_shadow_the_state_is_unknown_and_said(collect):
    found, proof = collect(module, DictHost(FILES, denied={"/etc/shadow"}))
    assert by_name(found)["ann"].password == "unknown"
    assert by_name(found)["old"].password == "set"
    assert proof.outcome == "partial"
    assert proof.problems[0].where == "/etc/shadow"


def test_no_passwd_is_an_error(collect):
    assert collect(module, DictHost(kind="live"))[1].outcome == "error"


def test_an_image_without_accounts_has_none(collect):
    found, proof = collect(module, DictHost(kind="root"))
    assert (found, proof.outcome) == ([], "ok")
    found, proof = collect(module, DictHost({"/etc/passwd": "a:x:5:5::/:/bin/sh\n"}, kind="root"))
    assert (found[0].password, proof.outcome) == ("none", "ok")


def test_this_machine(live):
    found = {(r.name, r.uid, r.gid, r.home, r.shell) for r in live(module)}
    with open("/etc/passwd") as file:
        local = {line.split(":")[0] for line in file if line.strip()}
    known = {(p.pw_name, p.pw_uid, p.pw_gid, p.pw_dir, p.pw_shell) for p in pwd.getpwall()}
    assert found == {p for p in known if p[0] in local}


def test_hostile_input(hostile):
    hostile(module, FILES)


def test_names_that_are_not_utf8(rows):
    (row,) = rows(
        module,
        DictHost(
            {
                "/etc/passwd": b"caf\xe9:x:5:5:\xff:/h:/bin/sh\n",
                "/etc/shadow": b"",
                "/etc/group": b"",
            }
        ),
    )
    assert row.name == "caf\U0010ffe9"
