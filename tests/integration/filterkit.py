"""Rows and generated filters over them, for tests that compare readers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.text import from_bytes

TABLE = "process_activity"
KINDS = {c.name: c.kind for c in columns_of(EVENT_CLASSES[TABLE])}
TEXTS = [
    "",
    "nginx",
    "NGINX",
    "nginx-core",
    "curl http://x/y?z=1",
    "a b",
    " ",
    "007",
    "7",
    "1.10",
    "true",
    "null",
    'say "hi" \\ there',
    "名字",
    "Ünïcode ß",
    "\u212aelvin",
    "%_[]^$.*",
    "=cmd()",
    "line\nbreak",
    from_bytes(b"raw \xff bytes"),
]
NUMBERS = [0, 1, -1, 7, 22, 443, 2**31, 2**53 + 1, 2**62, -(2**62)]
PATTERNS = ["^n", "x$", "(?i)nginx", "[0-9]+", "a.b", "^$", "\\.", "http://[a-z]+/", "名|Ü"]
LISTS: list[list[str]] = [[], ["a"], ["curl", "http://x/y"], ["A", "b", ""], ["名字", "-x"], ["7"]]


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "ppid": n,
            "pid": NUMBERS[n % len(NUMBERS)],
            "name": TEXTS[n % len(TEXTS)],
            "exe": TEXTS[(n * 7) % len(TEXTS)],
            "is_self": n % 3 == 0,
            "argv": LISTS[n % len(LISTS)],
            "exit_code": None if n % 4 else NUMBERS[n % 5],
        }
        for n in range(60)
    ]


ROWS = _rows()
FIELDS = ["pid", "name", "exe", "is_self", "argv", "exit_code"]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


text_values = st.sampled_from([*TEXTS, "gin", "HTTP", "zz", "k"]).map(quoted)
bare_values = st.sampled_from(["nginx", "007", "7", "1.10", "1.5", "true", "0", "-1", "a"])
number_values = st.sampled_from([str(n) for n in NUMBERS] + ['"22"', "443"])
patterns = st.sampled_from(PATTERNS).map(quoted)


@st.composite
def leaves(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(FIELDS))
    kind = KINDS[name]
    if draw(st.integers(0, 9)) == 0:
        return f"{name} is null"
    if kind == "bool":
        return f"{name} {draw(st.sampled_from(['=', '!=']))} {draw(st.sampled_from(['true', 'false']))}"
    values = number_values if kind == "int" else st.one_of(text_values, bare_values)
    if draw(st.integers(0, 4)) == 0:
        return f"{name} in ({', '.join(draw(st.lists(values, min_size=1, max_size=4)))})"
    if kind == "int":
        return f"{name} {draw(st.sampled_from(['=', '!=', '<', '<=', '>', '>=']))} {draw(values)}"
    ops = ["=", "!=", "~", "=~"] + ([] if kind == "list" else ["<", "<=", ">", ">="])
    op = draw(st.sampled_from(ops))
    return f"{name} {op} {draw(patterns if op == '=~' else values)}"


filters = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        inner.map(lambda f: f"not ({f})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda fs: "(" + " and ".join(fs) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda fs: "(" + " or ".join(fs) + ")"),
    ),
    max_leaves=6,
)
