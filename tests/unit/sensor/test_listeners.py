from __future__ import annotations

from hauberk.sensor import listeners as listeners_module
from hauberk.sensor.listeners import SCAN_PAUSE_NS
from hauberk.sensor.processes import Process
from hauberk.sensor.procfs import TCP_LISTEN

NET = 4026531840


def test_exact_address_wins_over_the_wildcard(state):
    for pid in (5, 6, 7):
        state.processes.put(Process(pid, 1))
    listeners = state.listeners
    listeners.add(NET, "0.0.0.0", 80, 5)
    listeners.add(NET, "10.0.0.1", 80, 6)
    listeners.add(NET, "::", 443, 7)
    assert listeners.owner(NET, "10.0.0.1", 80).pid == 6
    assert listeners.owner(NET, "10.0.0.2", 80).pid == 5
    assert listeners.owner(NET, "10.0.0.2", 443).pid == 7
    assert listeners.owner(NET, "10.0.0.1", 81) is None
    assert listeners.owner(NET + 1, "10.0.0.1", 80) is None


def test_a_process_that_ends_listens_no_more(state):
    state.processes.put(Process(5, 1))
    state.listeners.add(NET, "0.0.0.0", 80, 5)
    state.listeners.add(NET, "0.0.0.0", 81, 5)
    state.listeners.ended(5)
    state.listeners.ended(5)
    assert state.listeners.owner(NET, "1.2.3.4", 80) is None
    assert len(state.listeners) == 0
    assert not state.listeners.has_port(NET, 81)


def test_a_new_owner_of_a_place_survives_the_old_ones_end(state):
    for pid in (5, 6):
        state.processes.put(Process(pid, 1))
    state.listeners.add(NET, "0.0.0.0", 80, 5)
    state.listeners.add(NET, "0.0.0.0", 80, 6)
    state.listeners.ended(5)
    assert state.listeners.owner(NET, "1.1.1.1", 80).pid == 6


def test_existing_listeners_are_found_in_each_namespace(state, proc):
    proc.add(3, "sshd", netns=100, sockets=[7],
             tcp=proc.row(("0.0.0.0", 22), ("0.0.0.0", 0), TCP_LISTEN, 7))  # fmt: skip
    proc.add(4, "web", netns=200, sockets=[8],
             tcp=proc.row(("10.1.0.1", 80), ("0.0.0.0", 0), TCP_LISTEN, 8))  # fmt: skip
    state.seed()
    assert state.listeners.owner(100, "9.9.9.9", 22).name == "sshd"
    assert state.listeners.owner(200, "10.1.0.1", 80).name == "web"
    assert state.listeners.owner(100, "10.1.0.1", 80) is None


def test_find_looks_again_but_not_at_every_miss(state, proc, clock):
    listeners = state.listeners
    assert listeners.find(NET, "1.1.1.1", 80, clock.mono_ns()) is None
    proc.add(3, "web", sockets=[9],
             tcp=proc.row(("0.0.0.0", 80), ("0.0.0.0", 0), TCP_LISTEN, 9))  # fmt: skip
    assert listeners.find(NET, "1.1.1.1", 80, clock.mono_ns()) is None
    later = clock.mono_ns() + 100 * SCAN_PAUSE_NS
    assert listeners.find(NET, "1.1.1.1", 80, later).name == "web"


def test_what_is_never_told_to_end_is_bounded(state, monkeypatch):
    monkeypatch.setattr(listeners_module, "MOST", 100)
    for n in range(1000):
        state.listeners.add(n, "127.0.0.1", 80, n)
        state.listeners.add(n, "127.0.0.1", 80, n)
        assert 1 <= len(state.listeners) <= 100
    state.listeners.ended(999)
    assert state.listeners.owner(999, "127.0.0.1", 80) is None
    assert state.listeners.has_port(998, 80)
