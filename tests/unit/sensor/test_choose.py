from __future__ import annotations

import sys

import pytest

from hauberk.errors import Unsupported
from hauberk.sensor import choose as module
from hauberk.sensor.choose import choose
from hauberk.sensor.settings import SensorSettings
from hauberk.sensor.source import State


class Opened:
    def __init__(self, _state=None):
        self.names = ["x"]

    def close(self):
        pass


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that gives what is named."""

    def gives(*, bpf=True, lsm=True, connector=True):
        def opener(what, fine):
            def make(_state):
                if not fine:
                    raise Unsupported(f"{what} refused here")
                return Opened()

            return make

        def probe(name):
            if not lsm:
                raise Unsupported("lsm_probe: Operation not permitted")
            return Opened()

        monkeypatch.setattr(module, "BpfSource", opener("bpf", bpf))
        monkeypatch.setattr(module, "ProcConnector", opener("proc connector", connector))
        monkeypatch.setattr(module.NativeReader, "open", probe)

    return gives


def test_tier_a_needs_an_lsm_program_that_attached(kernel, state):
    kernel()
    choice = choose(state)
    assert (choice.tier, choice.reasons) == ("A", [])


def test_tier_b_says_why_not_a(kernel, state):
    kernel(lsm=False)
    choice = choose(state)
    assert choice.tier == "B"
    assert choice.reasons == ["no eBPF LSM (tier A): lsm_probe: Operation not permitted"]


def test_tier_d_says_why_not_b(kernel, state):
    kernel(bpf=False)
    choice = choose(state)
    assert choice.tier == "D"
    assert choice.reasons[0] == "no eBPF: bpf refused here"
    assert "sockets are polled" in choice.reasons[1]
    assert len(choice.sources) == 2


def test_without_the_proc_connector_processes_are_polled(kernel, state):
    kernel(bpf=False, connector=False)
    choice = choose(state)
    assert choice.tier == "D"
    assert [s.names for _, s in choice.sources] == [["poll:/proc"], ["poll:/proc/net/tcp"]]
    assert "proc connector refused here" in choice.reasons[1]


def test_without_the_native_module_it_is_tier_d_with_the_reason(state, monkeypatch):
    monkeypatch.setitem(sys.modules, "hauberk.sensor._native._hb", None)
    monkeypatch.setattr(module, "ProcConnector", Opened)
    choice = choose(state)
    assert choice.tier == "D"
    assert "native reader not usable" in choice.reasons[0]


def test_switched_off_by_settings_or_given_up_earlier(kernel, proc, clock):
    kernel()
    settings = SensorSettings(proc=str(proc.root), native=False)
    assert choose(State(settings, clock)).reasons[0] == "no eBPF: switched off by settings"
    state = State(SensorSettings(proc=str(proc.root)), clock)
    assert choose(state, without_bpf="it died").reasons[0] == "no eBPF: it died"
