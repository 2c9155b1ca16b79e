import pytest

from hauberk.assets._sudoers import LINE_LIMIT, logical_lines, parse_entry, read_sudoers
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


def entries(line):
    return [(e.kind, e.principals, e.hosts, e.text) for e in parse_entry(line, "/etc/sudoers", 1)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "root ALL=(ALL:ALL) ALL",
            [("rule", ["root"], ["ALL"], "(ALL:ALL) ALL")],
        ),
        (
            "%sudo, ann  web1 , web2 = NOPASSWD: /bin/a, /bin/b",
            [("rule", ["%sudo", "ann"], ["web1", "web2"], "NOPASSWD: /bin/a, /bin/b")],
        ),
        (
            "ann A=(root) NOPASSWD:SETENV: /x : B = /y",
            [
                ("rule", ["ann"], ["A"], "(root) NOPASSWD:SETENV: /x"),
                ("rule", ["ann"], ["B"], "/y"),
            ],
        ),
        (
            "ann ALL = sha256:abcd= /bin/x",
            [("rule", ["ann"], ["ALL"], "sha256:abcd= /bin/x")],
        ),
        ("#1000 ALL=ALL", [("rule", ["#1000"], ["ALL"], "ALL")]),
        (
            "User_Alias OPS = ann, bob : DEV = cat",
            [
                ("alias", ["OPS"], ["User"], "ann, bob"),
                ("alias", ["DEV"], ["User"], "cat"),
            ],
        ),
        ("Defaults:ann !authenticate", [("defaults", [":ann"], [], "!authenticate")]),
        ('"domain users" ALL = ALL', [("rule", ["domain users"], ["ALL"], "ALL")]),
        ("ann\tALL=(ALL)\tALL", [("rule", ["ann"], ["ALL"], "(ALL) ALL")]),
        (r"%domain\ users ALL=ALL", [("rule", ["%domain users"], ["ALL"], "ALL")]),
        ("nonsense", []),
        ("= x", []),
    ],
)
def test_entries(line, expected):
    assert entries(line) == expected


def test_lines_are_joined_and_comments_dropped():
    text = '# only\na \\\n b # tail\n\n#include /x\n#123 ALL=ALL # x\nDefaults x="a # b"\nlast \\'
    assert list(logical_lines(text)) == [
        (2, "a   b"),
        (5, "#include /x"),
        (6, "#123 ALL=ALL"),
        (7, 'Defaults x="a # b"'),
        (8, "last"),
    ]


def test_includes_say_file_and_line():
    host = DictHost(
        {
            "/etc/sudoers": "@includedir sudoers.d\n#include /etc/more\n@include gone\n",
            "/etc/sudoers.d/10-a": "\nann ALL=ALL\n",
            "/etc/sudoers.d/b.bak": "bad ALL=ALL\n",
            "/etc/sudoers.d/c~": "bad ALL=ALL\n",
            "/etc/more": "bob ALL=ALL\n",
        }
    )
    notes = Notes()
    found = read_sudoers(host, notes)
    assert [(e.principals, e.source, e.line) for e in found] == [
        (["ann"], "/etc/sudoers.d/10-a", 2),
        (["bob"], "/etc/more", 1),
    ]
    assert [p.where for p in notes.problems] == ["/etc/sudoers:3"]


def test_an_include_of_itself_ends():
    notes = Notes()
    read_sudoers(DictHost({"/etc/sudoers": "@include /etc/sudoers\n" * 3}), notes)
    assert "too many" in notes.problems[0].what


@pytest.mark.parametrize(
    "text",
    [
        "a" * (LINE_LIMIT + 1),
        'x "' + "# " * 30_000,
        "a ALL=" + "NOPASSWD: " * 6000,
        "a ALL=" + ":" * 60_000,
        "a\\\n" * 100_000,
        "(" * 60_000 + "=",
        "@include " + "/x" * 20_000,
    ],
)
def test_huge_input_ends(text):
    notes = Notes()
    found = read_sudoers(DictHost({"/etc/sudoers": text}), notes)
    assert found or notes.problems
