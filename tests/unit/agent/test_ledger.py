import threading

import pytest

from hauberk.agent.ledger import MAX_KEPT, WINDOW_S, Ledger


class Cpu:
    def __init__(self):
        self.local = threading.local()

    def __call__(self):
        return getattr(self.local, "value", 0.0)

    def use(self, seconds):
        self.local.value = self() + seconds


def test_windows_with_nested_measures_counted_once(clock):
    cpu = Cpu()
    ledger = Ledger(clock, cpu)
    start = clock.wall
    with ledger.measure("collect/os.kernel"):
        cpu.use(1.0)
        with ledger.measure("encode"):
            cpu.use(0.25)
        with ledger.measure("encode"):
            cpu.use(0.25)
        cpu.use(1.0)
    ledger.add("send", bytes_out=10, rows=3, shed=1)
    assert ledger.entries() == []
    clock.advance(WINDOW_S)
    entries = {e.capability: e for e in ledger.entries()}
    assert entries["collect/os.kernel"].cpu_s == 2.0
    assert (entries["encode"].cpu_s, entries["encode"].runs) == (0.5, 2)
    assert (entries["send"].bytes_out, entries["send"].rows, entries["send"].shed) == (10, 3, 1)
    assert all(e.window_start_ns == start and e.window_s == WINDOW_S for e in entries.values())


def test_entries_stay_until_they_are_told(clock):
    ledger = Ledger(clock, lambda: 0.0)
    for number in range(3):
        ledger.add(f"c{number}", rows=1)
        clock.advance(WINDOW_S)
        ledger.entries()
    assert [e.capability for e in ledger.entries()] == ["c0", "c1", "c2"]
    ledger.told(2)
    assert [e.capability for e in ledger.entries()] == ["c2"]
    ledger.told(99)
    assert ledger.entries() == []


def test_a_week_without_a_server_is_bounded(clock):
    ledger = Ledger(clock, lambda: 0.0)
    for _ in range(MAX_KEPT + 5):
        ledger.add("x", rows=1)
        clock.advance(WINDOW_S)
        ledger.entries()
    assert len(ledger.entries()) == MAX_KEPT


def test_an_error_in_the_block_still_counts(clock):
    cpu = Cpu()
    ledger = Ledger(clock, cpu)
    with pytest.raises(ZeroDivisionError), ledger.measure("x"):
        cpu.use(2.0 / 1)
        cpu.use(1 / 0)
    clock.advance(WINDOW_S)
    assert ledger.entries()[0].cpu_s == 2.0


def test_threads_do_not_mix(clock):
    cpu = Cpu()
    ledger = Ledger(clock, cpu)

    def work():
        with ledger.measure("other"):
            cpu.use(5.0)

    with ledger.measure("main"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        cpu.use(1.0)
    clock.advance(WINDOW_S)
    assert {e.capability: e.cpu_s for e in ledger.entries()} == {"main": 1.0, "other": 5.0}
