"""network.firewall: nftables and iptables rules of the reader's network namespace."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _config
from ._config_nft import rule_text, rule_verdict

MAX_RULES = 50_000
TEXT_LIMIT = 2_000
_COUNTS = re.compile(r"\[\d+:\d+\]")


class FirewallRule(Asset, frozen=True, kw_only=True):
    """A chain, or one rule of it. `occurrence` tells equal rules of one chain apart."""

    KEY = ("source", "family", "table", "chain", "kind", "rule", "occurrence")
    VOLATILE = frozenset({"position"})

    source: Annotated[str, column("Source", "来源", "nft, iptables, ip6tables")]
    family: Annotated[str, column("Family", "地址族", "ip, ip6, inet, arp, bridge, netdev")]
    table: Annotated[str, column("Table", "表")]
    chain: Annotated[str, column("Chain", "链")]
    kind: Annotated[str, column("Kind", "类别", "chain, rule")]
    rule: Annotated[str, column("Rule", "规则", "without counters")] = ""
    occurrence: Annotated[int, column("Occurrence", "重复序号", "from 1", wide=True)] = 1
    position: Annotated[int, column("Position", "位置", "from 1, in its chain")] = 0
    verdict: Annotated[str, column("Verdict", "判决", "accept, drop, jump X; a chain's policy")] = (
        ""
    )
    hook: Annotated[str, column("Hook", "钩子", "input, output, forward, ...")] = ""
    chain_type: Annotated[str, column("Chain type", "链类型", wide=True)] = ""
    priority: Annotated[str, column("Priority", "优先级", wide=True)] = ""
    comment: Annotated[str, column("Comment", "备注", wide=True)] = ""


class _Numbers:
    """Positions of rules in their chains and occurrences of equal texts."""

    def __init__(self) -> None:
        self._positions: Counter[tuple[str, ...]] = Counter()
        self._equal: Counter[tuple[str, ...]] = Counter()

    def next(self, chain: tuple[str, ...], text: str) -> tuple[int, int]:
        self._positions[chain] += 1
        self._equal[(*chain, text)] += 1
        return self._positions[chain], self._equal[(*chain, text)]


def _word(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def parse_nft(raw: bytes, notes: Notes) -> Iterator[FirewallRule]:
    """Chains and rules of `nft -j list ruleset`. Raises HostError when it is not that."""
    try:
        items = json.loads(raw)["nftables"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HostError(f"nft: its answer is not a rule set ({type(error).__name__})") from error
    if not isinstance(items, list):
        raise HostError("nft: its answer holds no list of rules")
    numbers = _Numbers()
    hooks: dict[tuple[str, ...], str] = {}
    for item in items[:MAX_RULES]:
        row = _nft_row(item, numbers, hooks) if isinstance(item, dict) else None
        if row is not None:
            yield row
    if len(items) > MAX_RULES:
        notes.add("nft", f"more than {MAX_RULES} objects; the rest is left out", hides=True)


def _nft_row(
    item: dict[str, object], numbers: _Numbers, hooks: dict[tuple[str, ...], str]
) -> FirewallRule | None:
    chain, rule = item.get("chain"), item.get("rule")
    if isinstance(chain, dict):
        family, table, name = (_word(chain.get(k)) for k in ("family", "table", "name"))
        hook = hooks[family, table, name] = _word(chain.get("hook"))
        return FirewallRule(
            source="nft",
            family=family,
            table=table,
            chain=name,
            kind="chain",
            verdict=_word(chain.get("policy")),
            hook=hook,
            chain_type=_word(chain.get("type")),
            priority=_word(chain.get("prio")),
        )
    if not isinstance(rule, dict):
        return None
    key = family, table, name = tuple(_word(rule.get(k)) for k in ("family", "table", "chain"))
    expr = rule.get("expr")
    parts = expr if isinstance(expr, list) else []
    text = rule_text(parts)[:TEXT_LIMIT]
    position, occurrence = numbers.next(key, text)
    return FirewallRule(
        source="nft",
        family=family,
        table=table,
        chain=name,
        kind="rule",
        rule=text,
        position=position,
        occurrence=occurrence,
        verdict=rule_verdict(parts),
        hook=hooks.get(key, ""),
        comment=_word(rule.get("comment"))[:TEXT_LIMIT],
    )


def parse_iptables(raw: bytes, source: str) -> Iterator[FirewallRule]:
    """Chains and rules of `iptables-save`; `source` is iptables or ip6tables."""
    family = "ip6" if source == "ip6tables" else "ip"
    table = ""
    numbers = _Numbers()
    for line in from_bytes(raw).split("\n", MAX_RULES)[:MAX_RULES]:
        word, _, rest = line.strip().partition(" ")
        if word.startswith("*"):
            table = word[1:]
        elif word.startswith(":"):
            policy = rest.split(" ")[0]
            name = word[1:]
            yield FirewallRule(
                source=source,
                family=family,
                table=table,
                chain=name,
                kind="chain",
                verdict="" if policy == "-" else policy.lower(),
                hook=name.lower() if policy != "-" else "",
            )
        elif word == "-A":
            name, _, spec = rest.partition(" ")
            text = _COUNTS.sub("", spec).strip()[:TEXT_LIMIT]
            position, occurrence = numbers.next((table, name), text)
            yield FirewallRule(
                source=source,
                family=family,
                table=table,
                chain=name,
                kind="rule",
                rule=text,
                position=position,
                occurrence=occurrence,
                verdict=_target(spec),
                hook=name.lower() if name.isupper() else "",
            )


def _target(spec: str) -> str:
    words = spec.split()
    for flag, prefix in (("-j", ""), ("-g", "goto ")):
        if flag in words[:-1]:
            target = words[words.index(flag) + 1]
            builtin = target in {"ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "MASQUERADE"}
            return target.lower() if builtin else prefix + target
    return ""


def _legacy(host: Host, notes: Notes) -> Iterator[tuple[str, bytes]]:
    """Rules of the older kernel interface, which nft does not show, where its tables are loaded."""
    for source, mark in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        loaded = _config.text(host, f"/proc/net/{mark}", notes, 4096) or ""
        if not loaded.strip():
            continue
        try:
            yield source, _first_tool(host, f"{source}-legacy-save", f"{source}-save")
        except HostError as error:
            notes.add(f"{source}-save", f"could not check {loaded.split()}: {error}")


def _first_tool(host: Host, *tools: str) -> bytes:
    for tool in tools[:-1]:
        try:
            return host.tool([tool])
        except PathMissing:
            continue
    return host.tool([tools[-1]])


def collect(host: Host, notes: Notes) -> Iterator[FirewallRule]:
    """Chains and rules. Raises NotLive, HostError when no tool could be asked."""
    try:
        raw = host.tool(["nft", "-j", "list", "ruleset"])
    except PathMissing:
        yield from _only_iptables(host, notes)
        return
    yield from parse_nft(raw, notes)
    for source, saved in _legacy(host, notes):
        yield from parse_iptables(saved, source)


def _only_iptables(host: Host, notes: Notes) -> Iterator[FirewallRule]:
    answered = False
    for source in ("iptables", "ip6tables"):
        try:
            saved = host.tool([f"{source}-save"])
        except PathMissing as error:
            notes.add(f"{source}-save", f"could not check: {error}")
            continue
        answered = True
        yield from parse_iptables(saved, source)
    if not answered:
        raise HostError(
            "could not check the firewall: neither nft nor iptables-save is there; "
            "install nftables to look at it"
        )


COLLECTOR = Collector("network.firewall", FirewallRule, collect, every_s=900)
