"""A fleet of real updaters and slots; one package in ten is bad. Who runs what in the end?

HAUBERK_TEST_FLEET sets the number of simulated agents (60). Only time, the network, the self-test
and the start of a process are stand-ins: they do what a good or bad package would do.
"""

import hashlib
import os
import random

import packagekit as kit
import pytest

from hauberk.agent.slots import Slots
from hauberk.agent.updater import Updater
from hauberk.errors import Unreachable

AGENTS = int(os.environ.get("HAUBERK_TEST_FLEET", "60"))
CONFIRM_S, STEADY_S = 600, 60
BAD = ("corrupt", "arch", "selftest", "crash", "silent", "downgrade", "signature", "full")


class Clock:
    def __init__(self):
        self.now = 0

    def wall_ns(self):
        return self.now

    def mono_ns(self):
        return self.now


def build(version, sequence, arch=kit.ARCH):
    files = {"bin/hauberk": f"# {version}\n".encode(), "lib/x": os.urandom(3000)}
    return kit.package(files, version=version, sequence=sequence, arch=arch)


class Agent:
    """One simulated machine; `kind` says what is bad about what it is offered, "" nothing."""

    def __init__(self, folder, kind, data, document, rng):
        self.kind, self.data, self.document, self.rng = kind, data, document, rng
        self.clock, self.folder = Clock(), folder
        self.fetches = self.starts = self.kills = 0
        self.leaving = False
        kit.put_slot(folder / "opt", version="1", sequence=5)
        self.boot("a")
        self.slots.start()

    def boot(self, slot):
        self.slot, self.started = slot, self.clock.now
        self.leaving = False
        self.slots = Slots(self.folder / "opt", self.folder / "state/slots.json")
        self.updater = Updater(
            self.slots,
            self.folder / "state/package",
            running=slot,
            arch=kit.ARCH,
            fetch=self.fetch,
            selftest=self.selftest,
            ready=self.leave,
            clock=self.clock,
            steady_s=STEADY_S,
        )
        self.updater.want(self.document, kit.RELEASE_KEY, 1)

    def leave(self):
        self.leaving = True

    def fetch(self, _sha256, offset, limit):
        self.fetches += 1
        if self.kind == "" and self.rng.random() < 0.2:
            raise Unreachable("a bad line")
        if self.kind == "full" and self.fetches < 3:
            raise OSError(28, "No space left on device")
        data = self.data
        if self.kind == "corrupt":
            data = data[:-1] + bytes([data[-1] ^ 1])
        return data[offset : offset + min(limit, 2048)]

    def selftest(self, _folder):
        return ["it crashed"] if self.kind == "selftest" else []

    def launch(self):
        """The launcher's loop: decide, start, and see what becomes of it."""
        start = self.slots.start()
        self.starts += 1
        self.boot(start.slot)
        if start.trial and self.kind == "crash":
            self.launch()
        elif start.trial and self.kind == "silent":
            self.clock.now += CONFIRM_S * 10**9
            self.updater.turn()
            self.slots.reload()
            if self.slots.state.trial is not None:
                self.slots.roll_back(f"not confirmed within {CONFIRM_S} s")
            self.launch()

    def live(self, hours):
        """Turn, beat, be killed by chance (twice at most: thrice is a crash loop), for simulated hours."""
        end = self.clock.now + hours * 3600 * 10**9
        while self.clock.now < end:
            wait_s = self.updater.turn()
            self.updater.beaten()
            killed = self.kills < 2 and self.rng.random() < 0.01
            self.kills += killed
            if self.leaving or killed:
                self.slots = Slots(self.folder / "opt", self.folder / "state/slots.json")
                self.launch()
            self.clock.now += int(max(wait_s, 0.5) * 10**9)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    rng = random.Random(7)
    good, old, foreign = build("2", 6), build("0", 4), build("2", 6, "aarch64")
    offers = {
        "arch": (foreign, kit.signed(foreign, sequence=6, arch="aarch64")),
        "downgrade": (old, kit.signed(old, "0", 4)),
        "signature": (good, kit.signed(good, sequence=6)[:-1] + b"\0"),
    }
    whole = (good, kit.signed(good, sequence=6))
    agents, top = [], tmp_path_factory.mktemp("fleet")
    for number in range(AGENTS):
        # one in ten, and each way of being bad at least once
        bad = number % 10 == 0 or number < len(BAD)
        kind = BAD[number % len(BAD)] if number < len(BAD) else rng.choice(BAD) if bad else ""
        data, document = offers.get(kind, whole)
        agent = Agent(top / str(number), kind, data, document, rng)
        agent.live(3)
        agents.append(agent)
    return agents, hashlib.sha256(good).hexdigest()


def test_every_agent_runs_a_proven_package_and_says_so(fleet):
    agents, good = fleet
    outcomes = {}
    for agent in agents:
        told = agent.updater.state
        outcomes.setdefault(agent.kind or "good", set()).add((told.state, told.version))
        if agent.kind in ("", "full"):
            assert (told.state, told.version, told.sha256) == ("current", "2", good), agent.kind
        elif agent.kind in ("crash", "silent"):
            assert (told.state, told.version) == ("rolled_back", "1"), told
            assert told.message
        else:
            assert (told.state, told.version) == ("failed", "1"), (agent.kind, told)
            assert told.message
        confirmed = agent.folder / "opt/confirmed/manifest.json"
        assert confirmed.is_file()
        assert agent.slots.state.trial is None
    print(f"\n{len(agents)} agents: " + "; ".join(f"{k} {v}" for k, v in sorted(outcomes.items())))


def test_what_is_refused_is_not_fetched_again_and_again(fleet):
    agents, _ = fleet
    pieces = 1 + max(len(agent.data) for agent in agents) // 2048
    for agent in agents:
        if agent.kind in ("arch", "downgrade", "signature"):
            assert agent.fetches == 0
        elif agent.kind == "corrupt":
            assert agent.fetches <= 3 * pieces
        elif agent.kind in ("selftest", "crash", "silent"):
            assert agent.fetches <= pieces


def test_nothing_is_left_of_failed_updates(fleet):
    for agent in fleet[0]:
        assert not [p for p in (agent.folder / "opt/slots").iterdir() if p.name[0] == "."]
        downloads = agent.folder / "state/package"
        assert not downloads.exists() or not list(downloads.iterdir())
