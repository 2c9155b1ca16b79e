import sys
from pathlib import Path

import packagekit as kit
import pytest

from hauberk.agent import selftest
from hauberk.agent.settings import AgentSettings


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "agent").mkdir()
    return AgentSettings(folder=str(tmp_path / "agent"))


@pytest.fixture
def no_imports(monkeypatch):
    """The whole import is tried in the bundle's own test; here it would load the server too."""
    monkeypatch.setattr(selftest, "_imports", lambda: iter(()))


@pytest.mark.usefixtures("no_imports")
def test_a_whole_package_without_an_identity(tmp_path, settings):
    assert selftest.run(settings, kit.put_slot(tmp_path)) == []
    assert list(settings.path.iterdir()) == []


@pytest.mark.usefixtures("no_imports")
def test_a_changed_file_is_told(tmp_path, settings):
    place = kit.put_slot(tmp_path)
    (place / "bin/hauberk").write_bytes(b"other")
    assert selftest.run(settings, place) == ["bin/hauberk: changed"]
    assert "manifest" in selftest.run(settings, tmp_path)[0]


@pytest.mark.usefixtures("no_imports")
def test_a_state_that_it_cannot_read_is_told(tmp_path, settings):
    (settings.path / "slots.json").write_bytes(b"{")
    settings.identity.mkdir()
    (settings.identity / "current").symlink_to("g1")
    told = selftest.run(settings, kit.put_slot(tmp_path))
    assert len(told) == 2
    assert "identity" in told[0]


def test_a_module_that_cannot_be_imported_is_told(tmp_path, monkeypatch):
    package = tmp_path / "broken_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bad.py").write_text("import no_such_module_at_all")
    (package / "good.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(selftest.hauberk, "__path__", [])
    assert list(selftest._imports()) == []
    monkeypatch.setattr(
        selftest.pkgutil,
        "walk_packages",
        lambda *_a, **_k: [
            type("Info", (), {"name": f"broken_package.{n}"})() for n in ("bad", "good")
        ],
    )
    told = list(selftest._imports())
    assert len(told) == 1
    assert "no_such_module_at_all" in told[0]


def test_the_list_has_an_end(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(selftest, "_imports", lambda: (f"m{n}" for n in range(100)))
    assert selftest.run(settings, tmp_path)[-1] == "and more"


def script(folder, text):
    (folder / "bin").mkdir()
    path = folder / "bin/hauberk"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return folder


def test_in_a_process_of_its_own(tmp_path, settings, monkeypatch):
    good = script(Path(tmp_path / "good").mkdir() or tmp_path / "good", "")
    assert selftest.in_process(good, settings) == []
    bad = tmp_path / "bad"
    bad.mkdir()
    script(bad, "import os; raise SystemExit('no ' + os.environ['HAUBERK_AGENT_FOLDER'])")
    told = selftest.in_process(bad, settings)
    assert told == ["it ended with status 1", f"no {settings.folder}"]
    assert "cannot be started" in selftest.in_process(tmp_path / "none", settings)[0]
    monkeypatch.setattr(selftest, "TIMEOUT_S", 0.3)
    slow = tmp_path / "slow"
    slow.mkdir()
    script(slow, "import time; time.sleep(60)")
    assert "did not end" in selftest.in_process(slow, settings)[0]
