import json


def test_make_list_revoke(hauberk):
    made = hauberk("tokens", "new", "ci", "--role", "viewer", "--days", "1")
    assert made.out.startswith("hbt_")
    rows = json.loads(hauberk("tokens", "list", "-o", "json").out)
    assert [r["role"] for r in rows if r["name"] == "ci"] == ["viewer"]
    assert made.out.strip() not in hauberk("tokens", "list").out
    assert hauberk("tokens", "revoke", "ci").code == 0
    assert hauberk("tokens", "revoke", "ci").code == 3
