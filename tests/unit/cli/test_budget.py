import json


def test_ledger_of_one_and_of_all_workloads(hauberk, stack):
    home = stack.workload("default", "budget", hostname="cost-1")
    details = json.loads(hauberk("budget", "-o", "json").out)
    assert home in {d["workload"]["id"] for d in details}
    table = hauberk("budget", "--workload", home).out
    assert "cost-1: granted 1.0 % of the machine" in table


def test_unknown_workload(hauberk):
    assert hauberk("budget", "--workload", "nope").code == 3
