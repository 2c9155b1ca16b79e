import sys

import pytest

from hauberk.registry import discover


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "parts_for_registry_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "b.py").write_text("PART = 'b'")
    (folder / "a.py").write_text("PART = 'a'")
    (folder / "_helper.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [n for n in sys.modules if n.startswith(folder.name)]:
        del sys.modules[name]


def test_parts_come_in_name_order_and_helpers_are_left_out(package):
    assert list(discover(package.name, "PART", str).items()) == [("a", "a"), ("b", "b")]


def test_a_part_of_another_kind_is_named(package):
    (package / "c.py").write_text("PART = 7")
    with pytest.raises(TypeError, match=r"c\.PART is not a str"):
        discover(package.name, "PART", str)
