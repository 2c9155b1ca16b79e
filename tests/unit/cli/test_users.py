import json
import re


def test_add_list_change_reset_delete(hauberk):
    made = hauberk("users", "add", "li", "--role", "analyst")
    assert made.code == 0
    assert re.search(r"user li \(analyst\), password: \S{10,}", made.out)
    rows = json.loads(hauberk("users", "list", "-o", "json").out)
    assert {r["name"]: r["role"] for r in rows}["li"] == "analyst"
    assert hauberk("users", "change", "li", "--role", "viewer", "--disabled").code == 0
    row = next(
        r for r in json.loads(hauberk("users", "list", "-o", "json").out) if r["name"] == "li"
    )
    assert (row["role"], row["disabled"]) == ("viewer", True)
    assert "new password: " in hauberk("users", "reset", "li").out
    assert hauberk("users", "delete", "li").code == 0
    assert "li" not in {r["name"] for r in json.loads(hauberk("users", "list", "-o", "json").out)}


def test_unknown_user_could_not_complete(hauberk):
    done = hauberk("users", "reset", "nobody-here")
    assert done.code == 3
    assert "no user 'nobody-here'" in done.err


def test_passwords_are_not_listed(hauberk):
    assert "password" not in hauberk("users", "list").out


def test_tenants_keep_their_users_apart(hauberk):
    hauberk("users", "add", "only-other", "--tenant", "other")
    assert "only-other" in hauberk("users", "list", "--tenant", "other").out
    assert "only-other" not in hauberk("users", "list").out
