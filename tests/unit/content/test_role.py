"""Role files: what is refused, and where it says so."""

import pytest

from hauberk.content.role import lint, parse
from hauberk.errors import BadContent

GOOD = """id: demo
title:
  en: Demo server
  zh: 演示服务器
category: web
evidence:
  - weight: 60
    process: {name: [demo]}
  - weight: 30
    package: {dpkg: [demo]}
tests:
  positive:
    - {name: runs, rows: {runtime.process: [{name: demo}]}}
  negative:
    - {name: not, paths: [/x]}
"""


def test_a_good_file():
    role = parse("roles/demo.yaml", GOOD.encode())
    assert (role.id, role.title.zh, role.threshold) == ("demo", "演示服务器", 50)
    assert [e.weight for e in role.evidence] == [60, 30]
    assert role.source == "roles/demo.yaml"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("id: demo", "id: other", 1, "make them equal"),
        ("id: demo", "id: De_mo", 1, "lower-case"),
        ("  zh: 演示服务器\n", "", 2, "zh"),
        ("演示服务器", "x", 4, "at least|length"),
        ("演示服务器", "éàü", 4, "no Chinese"),
        ("category: web", "category: nonsense", 5, "one of"),
        ("weight: 60", "weight: 0", 7, ">= 1"),
        ("weight: 60", "weight: 101", 7, "<= 100"),
        ("weight: 60", "wait: 60", 7, "wait"),
        ("process: {name: [demo]}", "proces: {name: [demo]}", 7, "proces"),
        ("process: {name: [demo]}", "process: {nome: [demo]}", 8, "nome"),
        ("process: {name: [demo]}", "process: {}", 8, "empty process"),
        ("process: {name: [demo]}", "process: {argv: '('}", 8, "pattern"),
        ("process: {name: [demo]}", "process: {argv: '(a+)+b'}", 8, "for ever"),
        ("process: {name: [demo]}", "process: {argv: '" + "a" * 501 + "'}", 8, "longer"),
        ("process: {name: [demo]}", "path: [etc/x]", 8, "absolute"),
        ("process: {name: [demo]}", "path: []", 8, "empty path"),
        ("process: {name: [demo]}", "unit: ['']", 8, "empty unit"),
        ("process: {name: [demo]}", "port: {process: [a]}", 8, "tcp or udp"),
        ("process: {name: [demo]}", "port: {tcp: [70000]}", 8, "65535"),
        ("process: {name: [demo]}", "image: ['[']", 8, "pattern"),
        ("process: {name: [demo]}", "row: {subclass: a.b, field: x, matches: y}", 8, "no subclass"),
        ("    process: {name: [demo]}\n", "", 7, "exactly one"),
        (
            "    process: {name: [demo]}",
            "    process: {name: [demo]}\n    unit: [x]",
            7,
            "exactly one",
        ),
        ("runtime.process", "runtime.proces", 13, "no subclass"),
        ("    - {name: not, paths: [/x]}", "    []", 14, "length"),
        ("category: web", "category: web\nimplies: [demo]", 6, "itself"),
        ("category: web", "category: web\nimplies: [a]\nexcludes: [a]", 7, "implies and excludes"),
    ],
)
def test_refusals_name_the_line(old, new, line, message):
    assert old in GOOD
    with pytest.raises(BadContent, match=message) as caught:
        parse("demo.yaml", GOOD.replace(old, new, 1).encode())
    assert caught.value.line == line


def make(id_, en, zh, **lists):
    text = (
        GOOD.replace("id: demo", f"id: {id_}").replace("Demo server", en).replace("演示服务器", zh)
    )
    for name, values in lists.items():
        text += f"{name}: [{', '.join(values)}]\n"
    return parse(f"{id_}.yaml", text.encode())


def test_lint_of_a_sound_set():
    assert (
        lint(
            [
                make("aa", "First", "甲一", implies=["bb"]),
                make("bb", "Second", "乙二", excludes=["cc"]),
                make("cc", "Third", "丙三"),
            ]
        )
        == []
    )


def test_lint_tells_what_clashes():
    problems = lint(
        [
            make("aa", "First", "甲一", implies=["bb", "zz"]),
            make("bb", "FIRST", "乙二", implies=["aa"]),
            make("aa", "Other", "丁四"),
        ]
    )
    text = "\n".join(problems)
    assert "id 'aa' is that of aa.yaml too" in text
    assert "title 'FIRST' is that of aa too" in text
    assert "names 'zz', which is no role" in text
    assert "implies itself through others" in text
