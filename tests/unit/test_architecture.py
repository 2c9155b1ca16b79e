"""The house rules that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/hauberk"
PURE = ("schema", "assets", "content", "engines", "ports.py", "errors.py", "signing.py")
BANNED_CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__"}
BANNED_ATTRIBUTES = {"now", "today", "utcnow", "urandom"}


def sources(*parts):
    for part in parts:
        path = SOURCE / part
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def banned(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
                yield node.lineno, node.func.id
            if isinstance(node.func, ast.Attribute) and node.func.attr in BANNED_ATTRIBUTES:
                yield node.lineno, node.func.attr


def test_from_engines_down_nothing_opens_files_or_asks_the_clock():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}()"
        for path in sources(*PURE)
        for line, name in banned(ast.parse(path.read_text()))
        if name != "compile" or "re.compile" not in path.read_text().splitlines()[line - 1]
    ]
    assert not found, found


def test_from_engines_down_urllib_only_quotes():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path in sources(*PURE)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "urllib" in line and "urllib.parse" not in line
    ]
    assert not found, found


def test_the_banned_call_search_finds_one():
    assert list(banned(ast.parse("x = open('/etc/passwd')\ny = datetime.now()"))) == [
        (1, "open"),
        (2, "now"),
    ]


def test_every_module_has_a_mirrored_test():
    missing = []
    for path in sources("."):
        relative = path.relative_to(SOURCE)
        if (
            path.name.startswith("_")
            or "migrations" in relative.parts
            or "_native" in relative.parts
        ):
            continue
        test = ROOT / "tests/unit" / relative.parent / f"test_{path.name}"
        if not test.exists():
            missing.append(f"{relative} -> {test.relative_to(ROOT)}")
    assert not missing, "\n".join(missing)


def test_no_blanket_except_passes_silently():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(".")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body)
    ]
    assert not found, found


def test_modules_stay_short():
    long = {
        str(p.relative_to(ROOT)): n
        for p in sources(".")
        if (n := len(p.read_text().splitlines())) > 450
    }
    assert not long, long


def test_architecture_page_matches_the_contracts():
    done = subprocess.run([sys.executable, "-m", "tools.draw", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run `make docs`"


@pytest.mark.parametrize("noun", ["agent", "inventory"])
def test_the_agent_loads_no_server_library(noun):
    code = (
        f"import sys, importlib; importlib.import_module('hauberk.cli.{noun}');"
        "importlib.import_module('hauberk.agent.main');"
        "bad = {'sqlalchemy','litestar','deltalake','duckdb','pyarrow','uvicorn','argon2'}"
        " & {m.split('.')[0] for m in sys.modules}; sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
