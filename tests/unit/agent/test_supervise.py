import threading

import pytest

from hauberk.agent.supervise import Supervisor


class Stop(threading.Event):
    """Pauses take no time; they are remembered."""

    def __init__(self):
        super().__init__()
        self.pauses = []

    def wait(self, timeout=None):
        if timeout is None:
            return super().wait()
        self.pauses.append(timeout)
        return self.is_set()


@pytest.fixture
def stop():
    return Stop()


def test_a_crashed_thread_starts_again_and_is_told(stop, caplog):
    told, runs = [], []

    def work():
        runs.append(1)
        if len(runs) < 9:
            raise ValueError(f"number {len(runs)}")
        stop.set()

    supervisor = Supervisor(stop, lambda name, error: told.append((name, error)))
    supervisor.start("events", work)
    assert supervisor.join(30) == []
    assert len(runs) == 9
    assert told[0] == ("events", "ValueError: number 1")
    assert supervisor.crashes == {"events": 8}
    assert stop.pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "Traceback" in caplog.text


def test_threads_that_do_not_end_are_named(stop):
    release = threading.Event()
    supervisor = Supervisor(stop, lambda *_: None)
    supervisor.start("stuck", release.wait)
    stop.set()
    assert supervisor.join(0.01) == ["stuck"]
    release.set()
    assert supervisor.join(30) == []
