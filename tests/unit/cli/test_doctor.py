import json


def test_says_what_is_missing_without_a_server(run):
    done = run("doctor", "-o", "json")
    assert done.code == 3
    found = {f["part"]: f for f in json.loads(done.out)}
    assert found["API"]["verdict"] == "error"
    assert "hauberk up" in found["API"]["says"]


def test_names_tier_freshness_and_what_is_not_protected(hauberk, stack):
    home = stack.workload("default", "doctor", hostname="sick-1")
    stack.collected("default", home, "os.kernel", outcome="partial")
    done = hauberk("doctor", "-o", "json")
    says = {f["part"]: f["says"] for f in json.loads(done.out)}
    assert says["agent sick-1 sensor"].startswith("tier B")
    assert "not assessed" in says["risks"]
    assert "observes only" in says["blocking"]
    verdicts = {f["part"]: f["verdict"] for f in json.loads(done.out)}
    assert verdicts["risks"] != "ok"
