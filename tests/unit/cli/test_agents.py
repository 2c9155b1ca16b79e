import json

import rolloutkit


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


def test_packages_upgrades_and_alarms(hauberk, stack, tmp_path):
    home = stack.workload("default", "w2", hostname="db-2")
    seeded = rolloutkit.seed(stack, "default", home)
    listed = json.loads(hauberk("agents", "packages", "-o", "json").out)
    assert [p["version"] for p in listed] == ["default", "1.2.0"]
    file = tmp_path / "agent.txz"
    file.write_bytes(rolloutkit.package("1.5.0", 15, files={"bin/hauberk": b"x" * 400_000}))
    done = hauberk("agents", "upgrade", "--package", str(file), "--filter", 'hostname = "db-2"',
                   "--canary", "1", "--soak", "0", "-o", "json")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    rollout = json.loads(done.out)[0]
    assert (rollout["version"], rollout["states"]) == ("1.5.0", {"waiting": 1})
    name = rollout["id"]
    assert "canary" in hauberk("agents", "rollouts", "show", name).out
    assert hauberk("agents", "rollouts", "pause", name).out.startswith("paused 1.5.0 (1 waiting)")
    assert hauberk("agents", "rollouts", "resume", name).code == 0
    again = hauberk("agents", "upgrade", "--package", "1.5.0", "--filter", 'hostname = "db-2"')
    assert again.code == 3
    assert f"1 x it is in rollout {name}" in again.err
    busy = hauberk("agents", "packages", "delete", "1.5.0")
    assert (busy.code, name in busy.err) == (3, True)
    assert hauberk("agents", "rollouts", "cancel", name).out.startswith("cancelled")
    assert "1.5.0 (x86_64) is deleted" in hauberk("agents", "packages", "delete", "1.5.0").out
    assert name in hauberk("agents", "rollouts", "list").out
    alarm = json.loads(hauberk("agents", "alarms", "-o", "json").out)[0]
    assert alarm["id"] == seeded["alarm_id"]
    assert hauberk("agents", "acknowledge", alarm["id"]).code == 0
    assert "cli" in hauberk("agents", "alarms").out or "root" in hauberk("agents", "alarms").out
    line = hauberk("agents", "token", "--install").out
    assert f"/v1/install/{seeded['spare']}" in line
    assert hauberk("agents", "packages", "delete", seeded["spare"][:12]).code == 0


def test_what_names_no_package(hauberk, tmp_path):
    missing = hauberk("agents", "upgrade", "--package", "9.9.9")
    assert (missing.code, "nor a file" in missing.err) == (3, True)
    wrong = tmp_path / "x.txz"
    wrong.write_bytes(b"nothing of use")
    refused = hauberk("agents", "packages", "add", str(wrong))
    assert (refused.code, "not an agent package" in refused.err) == (3, True)
    assert "cannot be read" in hauberk("agents", "packages", "add", str(tmp_path / "none")).err
