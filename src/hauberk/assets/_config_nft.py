"""Short text of nftables rules given as the JSON of libnftables. Unknown parts stay as JSON."""

from __future__ import annotations

import json

_VERDICTS = ("accept", "drop", "reject", "return", "continue", "queue", "jump", "goto")
_NAT = ("masquerade", "snat", "dnat", "redirect", "tproxy")
_MAX_DEPTH = 12


def rule_text(parts: list[object]) -> str:
    """One line without counts: `tcp dport 22 ct state new accept`."""
    words = [_statement(part) for part in parts]
    return " ".join(w for w in words if w)


def rule_verdict(parts: list[object]) -> str:
    """The rule's last verdict, such as `drop`, `jump X`, `dnat`; empty when it has none."""
    verdict = ""
    for part in parts:
        if not isinstance(part, dict):
            continue
        for key, value in part.items():
            if key in _VERDICTS:
                verdict = f"{key} {_target(value)}".strip()
            elif key in _NAT:
                verdict = key
            elif key == "vmap":
                verdict = "vmap"
    return verdict


def _target(value: object) -> str:
    target = value.get("target") if isinstance(value, dict) else None
    return target if isinstance(target, str) else ""


def _statement(part: object) -> str:
    if not isinstance(part, dict) or len(part) != 1:
        return _json(part)
    key, value = next(iter(part.items()))
    if key == "counter":
        return "counter"
    if key == "match" and isinstance(value, dict):
        op = value.get("op")
        left, right = _expression(value.get("left")), _expression(value.get("right"))
        return f"{left} {right}" if op in ("==", "in") else f"{left} {op} {right}"
    if key in _VERDICTS:
        kind = value.get("type", "") if key == "reject" and isinstance(value, dict) else ""
        return " ".join(w for w in (key, _target(value), f"with {kind}" if kind else "") if w)
    if value is None:
        return str(key)
    return f"{key} {_expression(value)}"


def _expression(value: object, depth: int = 0) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, list):
        return ", ".join(_expression(v, depth + 1) for v in value)
    if isinstance(value, dict) and len(value) == 1:
        key, inner = next(iter(value.items()))
        known = _known(str(key), inner, depth)
        if known is not None:
            return known
    return _json(value)


def _known(key: str, inner: object, depth: int) -> str | None:
    text: str | None = None
    if key == "set":
        text = "{ " + _expression(inner, depth + 1) + " }"
    elif key == "range" and isinstance(inner, list) and len(inner) == 2:
        text = "-".join(_expression(v, depth + 1) for v in inner)
    elif not isinstance(inner, dict):
        text = None
    elif key == "payload" and "field" in inner:
        text = f"{inner.get('protocol', '')} {inner['field']}".strip()
    elif key in ("meta", "ct", "rt", "socket") and isinstance(inner.get("key"), str):
        text = f"{key} {inner['key']}" if key != "meta" else str(inner["key"])
    elif key == "prefix":
        text = f"{_expression(inner.get('addr'), depth + 1)}/{inner.get('len')}"
    return text


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        return "..."
