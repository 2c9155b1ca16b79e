import hashlib
import threading
import time

import msgspec
import packagekit as kit
import pytest

from hauberk.agent.ledger import Ledger
from hauberk.agent.settings import AgentSettings
from hauberk.agent.slots import Slots
from hauberk.agent.updater_thread import Upgrades
from hauberk.host.clock import SystemClock
from hauberk.schema.link import Desired


def desired(**changes):
    return Desired(tenant="t1", workload="w1", agent="a1", version=3, key_id="k1", **changes)


@pytest.fixture
def made(tmp_path, identity, ledger_of_real_time):
    kit.put_slot(tmp_path / "opt")
    stop, ready = threading.Event(), threading.Event()
    settings = AgentSettings(folder=str(tmp_path / "state"), timeout_s=5.0)
    upgrades = Upgrades(
        settings,
        SystemClock(),
        ledger_of_real_time,
        stop,
        identity=lambda: identity,
        open_now=lambda: True,
        ready=ready.set,
        prefix=tmp_path / "opt/slots/a",
    )
    thread = threading.Thread(target=upgrades.run)
    yield upgrades, thread, ready, settings
    stop.set()
    upgrades.wake()
    if thread.ident:
        thread.join(10)


@pytest.fixture
def ledger_of_real_time():
    return Ledger(SystemClock(), time.thread_time)


def test_outside_of_a_package_it_tells_none(tmp_path, identity, ledger_of_real_time):
    stop = threading.Event()
    stop.set()
    upgrades = Upgrades(
        AgentSettings(folder=str(tmp_path)),
        SystemClock(),
        ledger_of_real_time,
        stop,
        identity=lambda: identity,
        open_now=lambda: True,
        ready=stop.set,
    )
    upgrades.want(desired(package=b"x"))
    upgrades.beaten()
    upgrades.run()
    assert upgrades.state().state == "none"


def test_without_the_launcher_nothing_is_upgraded(tmp_path, identity, ledger_of_real_time):
    """The process would end for the new package, and nobody would start it."""
    kit.put_slot(tmp_path / "opt")
    stop = threading.Event()
    stop.set()
    upgrades = Upgrades(
        AgentSettings(folder=str(tmp_path / "state")),
        SystemClock(),
        ledger_of_real_time,
        stop,
        identity=lambda: identity,
        open_now=lambda: True,
        ready=stop.set,
        launched=False,
        prefix=tmp_path / "opt/slots/a",
    )
    upgrades.want(desired(package=b"x"))
    upgrades.run()
    assert upgrades.state().state == "none"
    assert "hauberk-launch" in upgrades.state().message


def test_a_package_comes_over_the_link_and_is_tested(made, gateway, tmp_path):
    upgrades, thread, ready, settings = made
    data = kit.package()
    digest = hashlib.sha256(data).hexdigest()
    gateway.routes["GET", f"/v1/package/{digest}"] = lambda _b, _p: (206, data)
    assert upgrades.state().state == "current"
    upgrades.want(desired(package=kit.signed(data), release_key=kit.RELEASE_KEY))
    thread.start()
    assert ready.wait(10), upgrades.state()
    slots = Slots(tmp_path / "opt", settings.path / "slots.json")
    assert (slots.state.trial, slots.state.wanted) == ("b", digest)
    assert slots.state.desired == 3


def test_the_key_of_the_enrolment_serves_where_the_desired_state_has_none(made):
    upgrades, thread, _ready, _settings = made
    thread.start()
    upgrades.want(desired(package=kit.signed(b"x")))
    end = time.monotonic() + 10
    while upgrades.state().state != "failed" and time.monotonic() < end:
        time.sleep(0.02)
    assert "no release key" in upgrades.state().message


def test_identity_keeps_the_release_key(identity):
    assert msgspec.structs.replace(identity.ids, release_key=b"k" * 32).release_key == b"k" * 32
