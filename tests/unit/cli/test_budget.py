import json

from hauberk.cli.budget import words
from hauberk.schema.link import BudgetState


def test_the_fleet_by_capability_and_by_machine(hauberk, stack):
    stack.workload("default", "budget", hostname="cost-1")
    rows = json.loads(hauberk("budget", "--hours", "8000", "-o", "json").out)
    (sensor,) = [r for r in rows if r["capability"] == "sensor of default"]
    assert sensor["workloads"] >= 1
    assert sensor["cpu_pct"] > 0
    table = hauberk("budget", "--by", "workload", "--hours", "8000").out
    assert "cost-1" in table
    only = hauberk(
        "budget", "--by", "workload", "--hours", "8000", "--filter", "hostname = nowhere"
    ).out
    assert "cost-1" not in only


def test_one_machine_with_its_grants(hauberk, stack):
    home = stack.workload("default", "budget-2", hostname="cost-2")
    table = hauberk("budget", "--workload", home).out
    assert "cost-2: granted 1.0 % of the machine" in table
    details = json.loads(hauberk("budget", "--workload", home, "-o", "json").out)
    assert details[0]["workload"]["id"] == home


def test_unknown_workload_and_absurd_time(hauberk):
    assert hauberk("budget", "--workload", "nope").code == 3
    assert hauberk("budget", "--hours", "-1").code != 0
    assert "BadFilter" not in hauberk("budget", "--filter", "nope = 1").out


def test_the_state_in_words():
    assert words(BudgetState(by="cgroup1", detail="/x: cpu")) == ["bounds by cgroup1: /x: cpu"]
    state = BudgetState(
        by="pacing",
        pressure={"cpu": 51.4, "io": 0.0},
        backing_off=True,
        window_open=False,
        shed_level=2,
        shed="exits left out",
    )
    assert words(state) == [
        "bounds by pacing",
        "pressure cpu 51 %, io 0 %",
        "background work waits: the machine is under pressure",
        "background work waits for the next maintenance window",
        "sheds events (step 2): exits left out",
    ]
