import json
import os
import shutil
import subprocess
import sys

import pytest
from procfs import run

from hauberk.assets.network_firewall import COLLECTOR, FirewallRule, parse_iptables, parse_nft
from hauberk.errors import HostError, NotLive, PathMissing
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

NFT = "nft -j list ruleset"
MATCH = {
    "match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}
}


def nft(*items):
    return json.dumps({"nftables": [{"metainfo": {"version": "1"}}, *items]})


CHAIN = {
    "chain": {"family": "inet", "table": "f", "name": "in", "hook": "input", "prio": 0,
              "type": "filter", "policy": "drop"}
}  # fmt: skip


def rule(*expr, **more):
    return {
        "rule": {
            "family": "inet",
            "table": "f",
            "chain": "in",
            "handle": 4,
            "expr": list(expr),
            **more,
        }
    }


def test_chain_and_rules():
    counter = {"counter": {"packets": 9, "bytes": 99}}
    answer = nft(
        {"table": {"family": "inet", "name": "f"}},
        CHAIN,
        rule(MATCH, counter, {"accept": None}, comment="ssh"),
        rule(MATCH, counter, {"accept": None}),
        rule({"jump": {"target": "next"}}),
    )
    rows, problems = run(COLLECTOR, DictHost({}, kind="live", tools={NFT: answer}))
    assert problems == []
    common = {"source": "nft", "family": "inet", "table": "f", "chain": "in", "hook": "input"}
    assert rows == [
        FirewallRule(**common, kind="chain", verdict="drop", chain_type="filter", priority="0"),
        FirewallRule(**common, kind="rule", rule="tcp dport 22 counter accept", position=1, verdict="accept", comment="ssh"),
        FirewallRule(**common, kind="rule", rule="tcp dport 22 counter accept", position=2, verdict="accept", occurrence=2),
        FirewallRule(**common, kind="rule", rule="jump next", position=3, verdict="jump next"),
    ]  # fmt: skip


def test_counters_do_not_change_a_rule():
    def key(packets):
        raw = nft(rule(MATCH, {"counter": {"packets": packets, "bytes": 1}}, {"drop": None}))
        (row,) = parse_nft(raw.encode(), Notes())
        return row.key()

    assert key(1) == key(2)


SAVED = """# Generated
*filter
:INPUT DROP [10:20]
:MINE - [0:0]
[5:60] -A INPUT -j IGNORED
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j MINE
-A MINE -j
COMMIT
"""


def test_iptables_alone():
    host = DictHost({}, kind="live", tools={"iptables-save": SAVED})
    rows, problems = run(COLLECTOR, host)
    shown = [(r.chain, r.kind, r.rule, r.verdict, r.occurrence) for r in rows]
    assert shown == [
        ("INPUT", "chain", "", "drop", 1),
        ("MINE", "chain", "", "", 1),
        ("INPUT", "rule", "-p tcp -m tcp --dport 22 -j ACCEPT", "accept", 1),
        ("INPUT", "rule", "-p tcp -m tcp --dport 22 -j ACCEPT", "accept", 2),
        ("INPUT", "rule", "-j MINE", "MINE", 1),
        ("MINE", "rule", "-j", "", 1),
    ]
    assert [p.where for p in problems] == ["ip6tables-save"]
    assert "could not check" in problems[0].what


def test_legacy_tables_beside_nft():
    files = {"/proc/net/ip_tables_names": "filter\n", "/proc/net/ip6_tables_names": "nat\n"}
    host = DictHost(files, kind="live", tools={NFT: nft(CHAIN), "iptables-legacy-save": SAVED})
    rows, problems = run(COLLECTOR, host)
    assert {r.source for r in rows} == {"nft", "iptables"}
    assert [p.where for p in problems] == ["ip6tables-save"]


def test_no_tool_is_an_error_and_not_an_empty_firewall():
    with pytest.raises(HostError, match="could not check"):
        run(COLLECTOR, DictHost({}, kind="live"))
    with pytest.raises(HostError, match="broken"):
        run(COLLECTOR, DictHost({}, kind="live", tools={NFT: HostError("broken")}))
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({}))


@pytest.mark.parametrize(
    "answer", ["", "{", "[]", "null", '{"nftables": 4}', "[" * 100_000, "\x00"]
)
def test_hostile_answers_raise_host_error(answer):
    with pytest.raises(HostError) as caught:
        run(COLLECTOR, DictHost({}, kind="live", tools={NFT: answer}))
    assert not isinstance(caught.value, PathMissing)


def test_odd_items_are_no_exception():
    deep: object = "x"
    for _ in range(400):
        deep = {"set": [deep]}
    items = [None, 1, {"rule": 5}, {"chain": []}, {"rule": {}}, rule(None, 5, {"a": 1, "b": 2}),
             rule({"match": deep}), rule({"log": {"prefix": "x" * 10_000}})]  # fmt: skip
    rows, _ = run(COLLECTOR, DictHost({}, kind="live", tools={NFT: nft(*items)}))
    assert all(len(r.rule) <= 2000 for r in rows)


def test_many_rules_are_bounded(monkeypatch):
    monkeypatch.setattr("hauberk.assets.network_firewall.MAX_RULES", 10)
    notes = Notes()
    assert len(list(parse_nft(nft(*[CHAIN] * 50).encode(), notes))) == 9
    assert len(notes.problems) == 1
    assert len(list(parse_iptables(b":A DROP [0:0]\n" * 50, "iptables"))) == 10


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")
@pytest.mark.skipif(shutil.which("nft", path="/usr/sbin:/usr/bin") is None, reason="needs nft")
def test_live_rule_set_of_an_own_namespace():
    code = (
        "import subprocess, msgspec\n"
        "from hauberk.assets.network_firewall import COLLECTOR\n"
        "from hauberk.host.live import LiveHost\n"
        "from hauberk.ports import Notes\n"
        "subprocess.run(['/usr/sbin/nft', '-f', '-'], check=True, input=b'''table inet t {\n"
        " chain c { type filter hook input priority 0; policy accept;\n"
        "  tcp dport { 22, 80-90 } ct state new ip saddr 10.0.0.0/8 counter drop\n"
        "  meta skuid 1000 reject with tcp reset\n }\n}\n''')\n"
        "rows = list(COLLECTOR.collect(LiveHost(), Notes()))\n"
        "print(msgspec.json.encode([(r.chain, r.kind, r.rule, r.verdict, r.hook) for r in rows]).decode())\n"
    )
    out = subprocess.check_output(["unshare", "--net", sys.executable, "-c", code])
    rows = json.loads(out)
    assert rows[0] == ["c", "chain", "", "accept", "input"]
    assert rows[1][1:] == [
        "rule",
        "tcp dport { 22, 80-90 } ct state new ip saddr 10.0.0.0/8 counter drop",
        "drop",
        "input",
    ]
    assert rows[2][3] == "reject"
