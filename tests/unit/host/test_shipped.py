import importlib.resources

import pytest

from hauberk.errors import NotFound
from hauberk.host.shipped import shipped


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "content/roles"
    (folder / "web").mkdir(parents=True)
    (folder / "b.yaml").write_bytes(b"b: 1\n")
    (folder / "web/a.yml").write_bytes(b"\xff")
    (folder / "readme.md").write_text("no")
    monkeypatch.setattr(importlib.resources, "files", lambda _: tmp_path)
    return tmp_path


def test_gives_yaml_files_in_name_order(package):
    assert list(shipped("roles")) == [("b.yaml", b"b: 1\n"), ("web/a.yml", b"\xff")]


@pytest.mark.parametrize("folder", ["none", "", "../content/roles", "roles/../roles"])
def test_says_what_is_not_there(package, folder):
    with pytest.raises(NotFound, match="install hauberk again"):
        list(shipped(folder))


def test_the_packages_own_roles():
    names = [name for name, _ in shipped("roles")]
    assert names
    assert names == sorted(names)
    assert all(data for _, data in shipped("roles"))
