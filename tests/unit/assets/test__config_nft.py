import pytest

from hauberk.assets._config_nft import rule_text, rule_verdict


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (match({"meta": {"key": "iifname"}}, "lo"), "iifname lo"),
        (match({"ct": {"key": "state"}}, ["established", "related"], "in"), "ct state established, related"),
        (match({"payload": {"protocol": "ip", "field": "saddr"}}, {"prefix": {"addr": "10.0.0.0", "len": 8}}, "!="),
         "ip saddr != 10.0.0.0/8"),
        (match({"payload": {"protocol": "tcp", "field": "dport"}}, {"set": [22, {"range": [80, 90]}]}),
         "tcp dport { 22, 80-90 }"),
        ({"counter": {"packets": 1}}, "counter"),
        ({"masquerade": None}, "masquerade"),
        ({"reject": {"type": "tcp reset"}}, "reject with tcp reset"),
        ({"goto": {"target": "x"}}, "goto x"),
        ({"log": {"prefix": "a"}}, 'log {"prefix": "a"}'),
        ("odd", '"odd"'),
    ],
)  # fmt: skip
def test_text(part, text):
    assert rule_text([part]) == text


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([{"accept": None}], "accept"),
        ([{"counter": None}, {"jump": {"target": "c"}}], "jump c"),
        ([{"dnat": {"addr": "10.0.0.1"}}], "dnat"),
        ([{"vmap": {}}], "vmap"),
        ([{"jump": 5}], "jump"),
        ([{"counter": None}, 7, None], ""),
    ],
)
def test_verdict(parts, verdict):
    assert rule_verdict(parts) == verdict


def test_depth_is_bounded():
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert "..." in rule_text([{"x": deep}])
    nested: object = 1
    for _ in range(100_000):
        nested = {"odd": nested}
    assert rule_text([{"log": nested}]) == "log ..."
