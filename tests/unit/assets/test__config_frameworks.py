import re

import pytest

from hauberk.assets._config_frameworks import MARKS, NODE, PYTHON


@pytest.mark.parametrize("mark", MARKS, ids=lambda m: f"{m.name}-{m.entry}")
def test_marks_are_sound(mark):
    assert re.compile(mark.pattern).groups <= 1
    assert not mark.file.startswith("/")
    assert ("*" in mark.file) <= bool(mark.pattern)


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("flask==2.3.1", "2.3.1"), ("Flask", ""), ('"flask>=2.0",', "2.0"), ('flask = "^2.1"', "2.1"),
        ("  flask[async] ~= 2.2 ; x", "2.2"), ('dependencies = ["Flask>=3"]', "3"),
    ],
)  # fmt: skip
def test_python_requirements(line, version):
    pattern = next(p for name, p, _ in PYTHON if name == "Flask")
    hit = re.search(pattern, f"x\n{line}\n")
    assert hit is not None
    assert (hit.group(1) or "") == version


@pytest.mark.parametrize("line", ["flask-login==1", "notflask==1", "myflask", "flasks==1"])
def test_other_packages_do_not_match(line):
    pattern = next(p for name, p, _ in PYTHON if name == "Flask")
    assert re.search(pattern, f"x\n{line}\n") is None


def test_names_are_told_apart():
    assert len({package for package, _ in NODE}) == len(NODE)
