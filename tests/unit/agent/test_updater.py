import hashlib
import itertools
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import packagekit as kit
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk.agent import updater as module
from hauberk.agent.slots import SlotInfo, Slots
from hauberk.agent.updater import Updater, open_package
from hauberk.errors import Refused, Unreachable

GOOD = kit.package()
NEWER = kit.package(version="3", sequence=3)


class Site:
    """One installation, its updater, and a server that serves from memory."""

    def __init__(self, folder, clock, packages=(GOOD, NEWER)):
        self.folder, self.clock = folder, clock
        self.packages = {hashlib.sha256(p).hexdigest(): p for p in packages}
        self.fetched, self.wrong, self.ready, self.open = [], [], 0, True
        self.failing = None
        kit.put_slot(folder / "opt")
        self.start("a")

    def start(self, slot):
        """As a new process."""
        self.slots = Slots(self.folder / "opt", self.folder / "state/slots.json")
        self.updater = Updater(
            self.slots,
            self.folder / "state/package",
            running=slot,
            arch=kit.ARCH,
            fetch=self.fetch,
            selftest=lambda _folder: self.wrong,
            ready=self.leave,
            clock=self.clock,
            open_now=lambda: self.open,
        )
        return self

    def fetch(self, sha256, offset, limit):
        self.fetched.append((sha256, offset))
        if self.failing is not None:
            raise self.failing
        return self.packages[sha256][offset : offset + limit]

    def leave(self):
        self.ready += 1

    def want(self, document, desired=1, key=kit.RELEASE_KEY):
        self.updater.want(document, key, desired)
        return self

    def turns(self, count=50):
        for _ in range(count):
            if self.updater.turn() > 0:
                break
        return self.updater.state

    @property
    def left(self):
        slots = self.folder / "opt/slots"
        downloads = self.folder / "state/package"
        return [p.name for p in slots.iterdir() if p.name.startswith(".")] + (
            os.listdir(downloads) if downloads.exists() else []
        )


@pytest.fixture
def site(tmp_path, clock):
    return Site(tmp_path, clock)


def test_without_a_wish_nothing_happens(site):
    told = site.turns()
    assert (told.state, told.version, told.slot) == ("current", "1", "a")
    assert site.fetched == []


def test_a_good_package_goes_on_trial_and_is_confirmed(site, clock):
    told = site.want(kit.signed(GOOD)).turns()
    assert told.state == "trial"
    assert told.slot == "a"
    assert site.ready == 1
    assert site.left == []
    assert site.slots.start().slot == "b"
    site.start("b").want(kit.signed(GOOD))
    assert site.turns().state == "trial"
    clock.advance(120)
    assert site.turns().state == "trial"  # up long enough, but never heard of the server
    site.updater.beaten()
    told = site.turns()
    assert (told.state, told.version, told.slot) == ("current", "2", "b")
    assert told.sha256 == told.wanted == hashlib.sha256(GOOD).hexdigest()
    count = len(site.fetched)
    clock.advance(1e6)
    assert site.turns().state == "current"
    assert len(site.fetched) == count


def test_a_beat_alone_does_not_confirm(site, clock):
    site.want(kit.signed(GOOD)).turns()
    site.start("b").updater.beaten()
    assert site.turns().state == "trial"
    clock.advance(59)
    assert site.turns().state == "trial"
    clock.advance(2)
    assert site.turns().state == "current"


def test_it_comes_in_pieces_and_goes_on_after_a_restart(site, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 100)
    site.want(kit.signed(GOOD))
    assert site.updater.turn() == 0.0
    assert site.updater.state.state == "fetching"
    site.updater.turn()
    site.start("a").want(kit.signed(GOOD))
    assert site.turns().state == "trial"
    assert [offset for _, offset in site.fetched] == list(range(0, len(GOOD), 100))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (kit.signed(GOOD, arch="aarch64"), "for aarch64"),
        (kit.signed(GOOD, sequence=0), "lower than 1"),
        (kit.signed(GOOD, size=0), "0 bytes"),
        (kit.signed(GOOD, size=1 << 40), "bytes"),
        (kit.signed(GOOD, sha256="../../etc/passwd"), "SHA-256"),
        (kit.signed(GOOD, key=Ed25519PrivateKey.generate()), "signature"),
        (b"\xff nonsense", "cannot be decoded"),
    ],
)
def test_refused_without_fetching_a_byte(site, clock, document, says):
    site.want(document)
    told = site.turns()
    assert told.state == "failed"
    assert says in told.message
    clock.advance(1e6)
    site.turns()
    site.start("a").want(document).turns()
    assert site.fetched == []
    assert site.ready == 0
    assert site.slots.start().slot == "a"


def test_no_release_key(site):
    told = site.want(kit.signed(GOOD), key=b"").turns()
    assert "no release key" in told.message


def test_a_meant_downgrade(site):
    old = kit.package(version="0", sequence=0)
    site.packages[hashlib.sha256(old).hexdigest()] = old
    document = kit.signed(old, version="0", sequence=0)
    assert site.want(document).turns().state == "failed"
    meant = kit.signed(old, version="0", sequence=0, downgrade=True)
    assert site.want(meant, 2).turns().state == "trial"


@pytest.mark.parametrize(
    ("data", "claimed", "says"),
    [
        (kit.package(version="9"), {}, "manifest says"),
        (kit.package(sequence=9), {}, "manifest says"),
        (kit.package(arch="aarch64"), {}, "manifest says"),
    ],
)
def test_a_signed_package_that_is_another_inside(site, clock, data, claimed, says):
    site.packages[hashlib.sha256(data).hexdigest()] = data
    told = site.want(kit.signed(data, **claimed)).turns()
    assert told.state == "failed"
    assert says in told.message
    count = len(site.fetched)
    clock.advance(1e6)
    site.turns()
    assert len(site.fetched) == count
    assert site.left == []


def test_a_replaced_file_is_tried_three_times_then_refused(site, clock):
    digest = hashlib.sha256(GOOD).hexdigest()
    site.packages[digest] = GOOD[:-1] + b"!"
    site.want(kit.signed(GOOD))
    for _ in range(40):
        site.turns()
        clock.advance(3600)
    told = site.updater.state
    assert told.state == "failed"
    assert "3 times" in told.message
    assert len(site.fetched) == 3
    assert site.left == []
    site.packages[digest] = GOOD
    assert site.want(kit.signed(GOOD), 2).turns().state == "trial"


@pytest.mark.parametrize("answer", [b"", b"x" * 10_000_000])
def test_a_server_that_answers_nonsense(site, answer):
    site.packages[hashlib.sha256(GOOD).hexdigest()] = type(
        "Odd", (), {"__getitem__": lambda _self, _slice: answer}
    )()
    assert site.want(kit.signed(GOOD)).turns().state == "fetching"
    assert site.ready == 0


def test_no_network_pauses_longer_each_time_and_then_goes_on(site, clock):
    site.failing = Unreachable("no route")
    site.want(kit.signed(GOOD))
    at = []
    for _ in range(1500):
        before = len(site.fetched)
        site.updater.turn()
        if len(site.fetched) > before:
            at.append(clock.mono)
        clock.advance(20)
    gaps = [(b - a) / 1e9 for a, b in itertools.pairwise(at)]
    assert gaps[:3] == pytest.approx([60, 120, 240], abs=21)
    assert max(gaps) <= 6 * 3600 + 21
    told = site.updater.state
    assert (told.state, "no route" in told.message) == ("fetching", True)
    site.start("a").want(kit.signed(GOOD))  # a restart does not ask at once
    before = len(site.fetched)
    site.turns()
    assert len(site.fetched) == before
    site.failing = None
    clock.advance(6 * 3600)
    assert site.turns().state == "trial"


def test_a_refusal_of_the_server_may_pass(site, clock):
    site.failing = Refused("not for you")
    assert "not for you" in site.want(kit.signed(GOOD)).turns().message
    site.failing = None
    clock.advance(61)
    assert site.turns().state == "trial"


def test_a_failed_selftest_leaves_the_running_agent_alone(site, clock):
    site.wrong = ["hauberk.sensor: ImportError: no"]
    told = site.want(kit.signed(GOOD)).turns()
    assert told.state == "failed"
    assert "ImportError" in told.message
    assert site.left == []
    assert site.slots.start().slot == "a"
    count = len(site.fetched)
    clock.advance(1e6)
    site.start("a").want(kit.signed(GOOD)).turns()
    assert len(site.fetched) == count
    site.wrong = []
    assert site.want(kit.signed(NEWER, version="3", sequence=3), 1).turns().state == "trial"


def test_after_a_roll_back_the_same_demand_is_not_tried_again(site, clock):
    site.want(kit.signed(GOOD)).turns()
    site.slots.start()
    site.slots.roll_back("it did not work")
    site.start("a").want(kit.signed(GOOD))
    told = site.turns()
    assert (told.state, told.message) == ("rolled_back", "it did not work")
    count = len(site.fetched)
    clock.advance(1e6)
    site.turns()
    assert len(site.fetched) == count
    assert site.want(kit.signed(GOOD), 2).turns().state == "trial"


def test_outside_of_the_maintenance_window_nothing_is_fetched(site):
    site.open = False
    assert site.want(kit.signed(GOOD)).turns().state == "current"
    assert site.fetched == []
    site.open = True
    assert site.turns().state == "trial"


def test_a_full_disk_before_the_download(site, clock, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _p: SimpleNamespace(free=1000))
        told = site.want(kit.signed(GOOD)).turns()
        assert told.state == "fetching"
        assert "free" in told.message
        assert site.fetched == []
    clock.advance(61)
    assert site.turns().state == "trial"


def test_a_disk_that_fills_up_while_unpacking(site, clock, monkeypatch):
    with monkeypatch.context() as patch:

        def full(*_args, **_kwargs):
            raise OSError(28, "No space left on device")

        patch.setattr(module, "unpack", full)
        told = site.want(kit.signed(GOOD)).turns()
        assert told.state == "fetching"
        assert "No space" in told.message
        assert site.left == []
    assert site.slots.start().slot == "a"
    clock.advance(61)
    assert site.turns().state == "trial"


def test_a_state_that_cannot_be_stored_does_not_make_it_fetch_all_the_time(site, monkeypatch):
    site.wrong = ["bad"]

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hauberk.agent.slots.write_atomic", full)
    site.want(kit.signed(GOOD))
    for _ in range(20):
        site.updater.turn()
    assert len(site.fetched) == 1
    assert site.updater.state.state == "failed"


def test_what_was_installed_by_hand_is_known_again(site):
    one = kit.signed(b"never fetched", version="1", sequence=1)
    told = site.want(one).turns()
    assert told.state == "current"
    assert told.sha256 == hashlib.sha256(b"never fetched").hexdigest() == told.wanted
    assert site.fetched == []


def test_a_wish_that_is_withdrawn_leaves_no_download(site, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 100)
    site.want(kit.signed(GOOD)).updater.turn()
    assert site.left
    assert site.want(b"").turns().state == "current"
    assert site.left == []


class Killed(BaseException):
    """Nothing in the product catches it."""


def test_killed_at_any_step_it_ends_on_the_new_package(tmp_path, clock, monkeypatch):
    limit, finished = 0, False
    while not finished:
        site = Site(tmp_path / str(limit), clock)
        done = [0]

        def wrap(function, done=done, limit=limit):
            def inner(*args, **kwargs):
                if done[0] == limit:
                    raise Killed
                done[0] += 1
                return function(*args, **kwargs)

            return inner

        with monkeypatch.context() as patch:
            for owner, name in (
                (Path, "replace"),
                (Path, "rename"),
                (Path, "mkdir"),
                (Path, "unlink"),
                (os, "fsync"),
                (os, "fchmod"),
                (shutil, "rmtree"),
            ):
                patch.setattr(owner, name, wrap(getattr(owner, name)))
            try:
                site.want(kit.signed(GOOD)).turns()
                finished = True
            except Killed:
                pass
        running = Slots(tmp_path / str(limit) / "opt", site.slots._path).start()
        if not running.trial:
            assert running.slot == "a"
            site.start("a").want(kit.signed(GOOD))
            clock.advance(module.FIRST_PAUSE_S)
            site.turns()
            running = site.slots.start()
        assert (running.slot, running.trial) == ("b", True)
        new = site.start("b").updater
        new.beaten()
        clock.advance(61)
        assert site.turns().state == "current"
        assert site.left == []
        limit += 1
    assert limit > 15


def test_one_that_dies_of_unpacking_waits_longer_at_each_start(site, clock, monkeypatch):
    def die(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "unpack", die)
        patch.setattr(Updater, "_note", keep_first(Updater._note))
        with pytest.raises(Killed):
            site.want(kit.signed(GOOD)).turns()
    before = len(site.fetched)
    site.start("a").want(kit.signed(GOOD))
    assert site.turns().state == "fetching"
    assert site.slots.state.trial is None
    clock.advance(module.FIRST_PAUSE_S)
    assert site.turns().state == "trial"
    assert len(site.fetched) == before  # the download was kept


def keep_first(note):
    """A killed process writes nothing after its death."""

    def inner(self, *args):
        if self._slots.state.failures == 0:
            note(self, *args)

    return inner


def test_an_installation_by_hand_and_an_update_do_not_meet(site, clock):
    site.want(kit.signed(GOOD))
    other = Slots(site.slots.root, site.slots._path)
    with other.exclusive(wait=True):
        assert site.turns().state == "fetching"
        assert "another installation" in site.updater.state.message
        kit.put_slot(site.slots.root, "b", "9", 9)
        other.begin(SlotInfo(version="9", sequence=9), wanted="", desired=0)
    clock.advance(module.LONGEST_PAUSE_S)
    site.turns()
    assert other._now().trial == "b"
    assert (site.slots.place("b") / "manifest.json").exists()
    assert site.ready == 0


def test_open_package():
    package = open_package(kit.signed(GOOD), kit.RELEASE_KEY)
    assert (package.version, package.size) == ("2", len(GOOD))
    with pytest.raises(Refused):
        open_package(kit.signed(GOOD), b"k" * 32)
