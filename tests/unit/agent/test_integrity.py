import hashlib
from pathlib import Path

import msgspec
import pytest

from hauberk.agent import integrity as module
from hauberk.agent.integrity import EVERY_S, MOST_ALARMS, Installed, Integrity
from hauberk.agent.slots_manifest import Manifest, ManifestFile
from hauberk.errors import BadInput


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "slot"
    (place / "lib").mkdir(parents=True)
    for n in range(120):
        (place / "lib" / f"{n:03}.py").write_text(f"n = {n}")
    (place / "python").symlink_to("lib/000.py")
    files = [
        ManifestFile(
            path=str(p.relative_to(place)), sha256=hashlib.sha256(p.read_bytes()).hexdigest()
        )
        for p in sorted((place / "lib").iterdir())
    ]
    files.append(ManifestFile(path="python", link="lib/000.py"))
    manifest = Manifest(name="x", version="1", sequence=1, arch="x86_64", size=1, files=files)
    (place / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return place


@pytest.fixture
def check(folder, clock):
    return Integrity(module.read_manifest(folder), clock)


def minutes(check, clock, count):
    for _ in range(count):
        clock.advance(EVERY_S)
        assert check.due()
        check.step()


def test_all_files_within_an_hour_a_few_at_a_time(check, clock, monkeypatch):
    read = []
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda p: (read.append(p), digest(p))[1])
    for _ in range(60):
        clock.advance(EVERY_S)
        assert check.step() <= 3
    assert len(set(read)) == 121
    assert check.alarms() == []
    assert check.unchecked == ""


def test_a_changed_file_is_found_within_a_minute_and_mended_again(check, clock, folder):
    minutes(check, clock, 1)
    victim = folder / "lib" / "077.py"
    victim.write_text("import evil")
    minutes(check, clock, 1)
    (alarm,) = check.alarms()
    assert (alarm.kind, alarm.what, alarm.since_ns) == (
        "file_changed",
        str(victim),
        clock.wall_ns(),
    )
    minutes(check, clock, 2)
    assert check.alarms() == [alarm]
    victim.write_text("n = 77")
    minutes(check, clock, 1)
    assert check.alarms() == []


def test_one_that_was_changed_before_the_start_is_found_within_the_hour(check, clock, folder):
    (folder / "lib" / "119.py").write_text("import evil")
    minutes(check, clock, 60)
    assert [Path(a.what).name for a in check.alarms()] == ["119.py"]


def test_links_missing_and_added_files(check, clock, folder):
    (folder / "python").unlink()
    (folder / "python").symlink_to("lib/evil")
    (folder / "lib" / "003.py").unlink()
    (folder / "lib" / "site.pth").write_text("import evil")
    (folder / "lib" / "__pycache__").mkdir()
    (folder / "lib" / "__pycache__" / "x.pyc").write_text("")
    minutes(check, clock, 60)
    found = {Path(a.what).name: a.detail for a in check.alarms()}
    assert found.keys() == {"python", "003.py", "site.pth"}
    assert "lib/evil" in found["python"]
    assert found["site.pth"] == "it was not installed"
    (folder / "lib" / "site.pth").unlink()
    minutes(check, clock, 60)
    assert {Path(a.what).name for a in check.alarms()} == {"python", "003.py"}


def test_many_changes_do_not_fill_the_beat(clock, tmp_path):
    gone = Installed({tmp_path / str(n): "0" * 64 for n in range(500)})
    check = Integrity(gone, clock)
    check.step()
    alarms = check.alarms()
    assert len(alarms) == MOST_ALARMS + 1
    assert "450 more" in alarms[-1].detail
    assert len({(a.kind, a.what) for a in alarms}) == len(alarms)


def digests(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_an_upgrade_by_pip_under_the_running_agent_is_no_tampering(clock, tmp_path):
    for n in range(5):
        (tmp_path / f"{n}.py").write_text(f"old {n}")
    record = [digests(tmp_path)]
    check = Integrity(Installed(dict(record[0])), clock, again=lambda: record[0])
    minutes(check, clock, 2)
    (tmp_path / "0.py").unlink()
    (tmp_path / "1.py").write_text("new 1")
    record[0] = {}  # in the middle of it
    minutes(check, clock, 1)
    assert check.alarms() == []
    (tmp_path / "6.py").write_text("new 6")
    record[0] = digests(tmp_path)
    minutes(check, clock, 1)
    assert check.alarms() == []
    assert "restart" in check.notice
    minutes(check, clock, 60)
    assert check.alarms() == []
    (tmp_path / "6.py").write_text("evil")  # and the new files are watched
    minutes(check, clock, 1)
    assert [Path(a.what).name for a in check.alarms()] == ["6.py"]


def test_a_list_that_never_fits_its_files_is_an_alarm(clock, tmp_path):
    (tmp_path / "1.py").write_text("old")
    record = [digests(tmp_path)]
    check = Integrity(Installed(dict(record[0])), clock, again=lambda: record[0])
    minutes(check, clock, 1)
    (tmp_path / "1.py").write_text("evil")
    record[0] = {tmp_path / "1.py": "0" * 64}
    minutes(check, clock, 1)
    assert check.alarms() == []
    minutes(check, clock, 1)
    assert [Path(a.what).name for a in check.alarms()] == ["1.py"]
    minutes(check, clock, 3)
    assert check.alarms()


def test_without_a_list_nothing_is_claimed(clock):
    check = Integrity(Installed({}), clock)
    assert not check.due()
    assert "no list" in check.unchecked


def test_where_the_list_comes_from(folder, clock, monkeypatch):
    named = module.installed_files({"HAUBERK_MANIFEST": str(folder / "manifest.json")})
    assert len(named.files) == 121
    monkeypatch.setattr(module.sys, "executable", str(folder / "lib" / "python3"))
    assert module.installed_files({}).root == folder
    (folder / "manifest.json").write_text("{")
    with pytest.raises(BadInput):
        module.installed_files({})
    check = module.open_integrity({}, clock)
    (alarm,) = check.alarms()
    assert "manifest.json" in alarm.what
    assert check.unchecked


def test_a_list_cannot_lead_out_of_its_folder(folder):
    manifest = Manifest(
        name="x",
        version="1",
        sequence=1,
        arch="x",
        size=1,
        files=[ManifestFile(path="../x", sha256="0" * 64)],
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BadInput, match="leaves"):
        module.read_manifest(folder)


def test_the_record_of_a_wheel_is_read():
    found = module.read_record("msgspec")
    assert found
    assert all(len(d) == 64 for d in found.values())
    path = next(p for p in found if p.suffix == ".py")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == found[path]
    assert module.read_record("no-such-distribution") == {}
