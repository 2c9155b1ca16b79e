import json


def test_list_token_revoke(hauberk, stack):
    stack.workload("default", "w1", hostname="db-1")
    rows = json.loads(hauberk("agents", "list", "-o", "json").out)
    mine = next(r for r in rows if r["hostname"] == "db-1")
    assert mine["state"] != "revoked"
    made = hauberk("agents", "token", "--note", "n", "-o", "json")
    assert json.loads(made.out)["token"].startswith("hbk1_")
    assert "hauberk enroll" in hauberk("agents", "token").out
    assert hauberk("agents", "revoke", mine["id"]).code == 0
    rows = json.loads(hauberk("agents", "list", "-o", "json").out)
    assert next(r for r in rows if r["id"] == mine["id"])["state"] == "revoked"


def test_unknown_agent(hauberk):
    assert hauberk("agents", "revoke", "0" * 32).code == 3
