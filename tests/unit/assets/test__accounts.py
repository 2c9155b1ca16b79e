import pytest

from hauberk.assets._accounts import (
    homes,
    judge_password,
    parse_group,
    parse_passwd,
    parse_shadow,
    uid_min,
)
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


@pytest.mark.parametrize(
    ("field", "state", "algorithm"),
    [
        ("", "empty", ""),
        ("x", "elsewhere", ""),
        ("*", "none", ""),
        ("!", "locked", ""),
        ("!!", "locked", ""),
        ("!*", "none", ""),
        ("*LK*", "none", ""),
        ("$y$j9T$salt$hash", "set", "yescrypt"),
        ("!$y$j9T$salt$hash", "locked", "yescrypt"),
        ("$6$salt$hash", "set", "sha512crypt"),
        ("$5$salt$hash", "set", "sha256crypt"),
        ("$1$salt$hash", "set", "md5crypt"),
        ("$2b$12$hash", "set", "bcrypt"),
        ("$gy$j9T$x", "set", "gost-yescrypt"),
        ("$7$x", "set", "scrypt"),
        ("abJnggxhB/yWI", "set", "descrypt"),
        ("_J9..rasmBYk8r9AiWNc", "set", "bsdicrypt"),
        ("NP", "none", ""),
        ("!password", "locked", ""),
    ],
)
def test_meaning_of_a_password_field(field, state, algorithm):
    found = judge_password(field)
    assert (found.state, found.algorithm) == (state, algorithm)


def test_lines_that_are_none_are_noted_without_their_contents():
    notes = Notes()
    lines = [
        "root:$6$secret:0:0::/root:/bin/sh",
        "short:x:1",
        "neg:x:-1:0::/:/",
        "big:x:99999999999:0::/:/",
        "+nis",
        "",
        "# c",
    ]
    assert [a.name for a in parse_passwd(lines, notes)] == ["root"]
    assert [p.where for p in notes.problems] == [f"/etc/passwd:{n}" for n in (2, 3, 4)]
    parse_shadow(["root:$6$secret"], notes)
    parse_group(["g:x"], notes)
    assert not any("secret" in p.what for p in notes.problems)


def test_shadow_days():
    found = parse_shadow(["a:*:19000:0:99999:7:::", "b:!:::::-1:99:"], Notes())
    assert (found["a"].changed, found["a"].maximum, found["a"].expires) == (19000, 99999, None)
    assert (found["b"].inactive, found["b"].expires) == (None, 99)


def test_homes_are_folders_of_their_own():
    lines = [
        "root:x:0:0::/root:/bin/sh",
        "toor:x:0:0::/root/:/bin/sh",
        "no:x:2:2::/nonexistent:/",
        "rel:x:3:3::home:/",
    ]
    assert homes(parse_passwd(lines, Notes())) == [("/root", "root")]


def test_uid_min():
    assert uid_min(DictHost({"/etc/login.defs": "# UID_MIN 5\nUID_MIN\t\t500\n"})) == 500
    assert uid_min(DictHost({"/etc/login.defs": "UID_MIN x\n"})) == 1000
    assert uid_min(DictHost()) == 1000
