import os
import shutil
from pathlib import Path

import packagekit as kit
import pytest

from hauberk.agent.slots import MAX_TRIES, SlotInfo, Slots, locate
from hauberk.errors import NotFound

NEW = SlotInfo(version="2", sequence=2, sha256="f" * 64)


@pytest.fixture
def root(tmp_path):
    kit.put_slot(tmp_path / "opt")
    return tmp_path / "opt"


@pytest.fixture
def slots(root, tmp_path):
    return Slots(root, tmp_path / "state/slots.json")


def again(slots):
    """As after a kill: everything in memory is gone."""
    return Slots(slots.root, slots._path)


def put_on_trial(slots):
    kit.put_slot(slots.root, "fresh", "2", 2)
    (slots.root / "slots/fresh").rename(slots.root / "slots/.b.new")
    slots.fill_spare(slots.root / "slots/.b.new")
    slots.begin(NEW, wanted=NEW.sha256, desired=7)


def test_a_first_package_is_confirmed(slots, root):
    assert slots.start().slot == "a"
    assert not slots.start().trial
    for name in ("current", "confirmed"):
        assert str((root / name).readlink()) == "slots/a"
    assert slots.state.highest == 1


def test_without_a_package_it_says_so(tmp_path):
    with pytest.raises(NotFound, match="install it anew"):
        Slots(tmp_path, tmp_path / "slots.json")


def test_a_trial_that_proves_itself_is_confirmed(slots, root):
    put_on_trial(slots)
    start = again(slots).start()
    assert (start.slot, start.trial) == ("b", True)
    assert str((root / "current").readlink()) == "slots/b"
    assert str((root / "confirmed").readlink()) == "slots/a"
    new = again(slots)
    assert new.package_state("b").state == "trial"
    new.confirm()
    new.confirm()
    old = again(slots)
    assert (old.start().slot, old.start().trial) == ("b", False)
    assert str((root / "confirmed").readlink()) == "slots/b"
    told = old.package_state("b")
    assert (told.state, told.version, told.sequence, told.wanted) == ("current", "2", 2, NEW.sha256)
    assert old.spare == "a"
    assert old.state.highest == 2


def test_a_crash_loop_goes_back_by_itself(slots, root):
    put_on_trial(slots)
    for _ in range(MAX_TRIES):
        assert again(slots).start().trial
    start = again(slots).start("it ended with status 1")
    assert (start.slot, start.trial) == ("a", False)
    assert str((root / "current").readlink()) == "slots/a"
    told = again(slots).package_state("a")
    assert told.state == "rolled_back"
    assert "status 1" in told.message
    assert (told.version, told.wanted) == ("1", NEW.sha256)


def test_a_start_that_was_stopped_by_order_does_not_count(slots):
    put_on_trial(slots)
    for _ in range(MAX_TRIES + 3):
        one = again(slots)
        assert one.start().trial
        one.take_back_start()


def test_a_trial_slot_that_is_gone_goes_back(slots):
    put_on_trial(slots)
    shutil.rmtree(slots.place("b"))
    start = again(slots).start()
    assert (start.slot, start.trial) == ("a", False)
    assert "not complete" in again(slots).state.message


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 300, b'{"confirmed":"z"}', b"[]"])
def test_a_damaged_state_runs_what_was_confirmed(slots, damage):
    put_on_trial(slots)
    slots.start()
    slots._path.write_bytes(damage)
    now = again(slots)
    start = now.start()
    assert (start.slot, start.trial) == ("a", False)
    assert "damaged" in now.package_state("a").message
    slots.begin(NEW, wanted=NEW.sha256, desired=7)
    again(slots).confirm()
    slots._path.write_bytes(damage)
    assert again(slots).start().slot == "b"


def test_a_confirmed_slot_that_is_gone_leaves_the_other(slots):
    put_on_trial(slots)
    slots.confirm()
    shutil.rmtree(slots.place("b"))
    now = again(slots)
    assert now.start().slot == "a"
    assert "gone" in now.state.message


def test_the_folder_of_an_interrupted_update_is_removed(slots, root):
    for name in (".a.old", ".b.new"):
        (root / "slots" / name).mkdir()
    slots.sweep()
    assert os.listdir(root / "slots") == ["a"]


class Killed(BaseException):
    """Nothing in the product catches it."""


def count_calls(monkeypatch, limit):
    """Let the `limit`-th change of the file system kill the process, before it happens."""
    done = [0]

    def wrap(function):
        def inner(*args, **kwargs):
            if done[0] == limit:
                raise Killed
            done[0] += 1
            return function(*args, **kwargs)

        return inner

    for owner, name in (
        (Path, "replace"),
        (Path, "rename"),
        (Path, "symlink_to"),
        (Path, "unlink"),
        (os, "fsync"),
        (os, "write"),
    ):
        monkeypatch.setattr(owner, name, wrap(getattr(owner, name)))
    return done


def test_killed_at_any_step_it_runs_a_whole_slot_and_ends_where_it_should(tmp_path, monkeypatch):
    """Begin, start and confirm, killed before each change, then done again."""
    finished = False
    limit = 0
    while not finished:
        folder = tmp_path / str(limit)
        kit.put_slot(folder / "opt")
        slots = Slots(folder / "opt", folder / "state/slots.json")
        slots.start()
        kit.put_slot(folder / "opt", "fresh", "2", 2)
        (folder / "opt/slots/fresh").rename(folder / "opt/slots/.b.new")
        with monkeypatch.context() as patch:
            count_calls(patch, limit)
            try:
                slots.fill_spare(folder / "opt/slots/.b.new")
                slots.begin(NEW, wanted=NEW.sha256, desired=7)
                again(slots).start()
                again(slots).confirm()
                finished = True
            except Killed:
                pass
        after = again(slots)
        start = after.start()
        assert (after.place(start.slot) / "manifest.json").is_file()
        confirmed = folder / "opt/confirmed/manifest.json"
        assert confirmed.is_file()
        if start.trial:
            assert start.slot == "b"
            after.confirm()
            assert again(slots).start().slot == "b"
        assert again(slots).start().slot in ("a", "b")
        limit += 1
    assert limit > 10


def test_locate(root):
    assert locate(root / "slots/a") == (root, "a")
    (root / "current").symlink_to("slots/a")
    assert locate(root / "current") == (root, "a")
    assert locate(root) is None
    assert locate(Path("/usr")) is None
    kit.put_slot(root, "c")
    assert locate(root / "slots/c") is None
