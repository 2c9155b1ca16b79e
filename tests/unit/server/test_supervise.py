from __future__ import annotations

import threading

import pytest
from storekit import eventually

from hauberk.errors import Busy
from hauberk.server import supervise
from hauberk.server.supervise import Supervisor


def test_steps_repeat_and_idle_waits() -> None:
    supervisor = Supervisor()
    answers = [True, True, False]
    idled = threading.Event()
    supervisor.start(
        "x",
        lambda: answers.pop(0) if answers else False,
        lambda: idled.set() or supervisor.stop.wait(1),
    )
    assert idled.wait(10)
    assert supervisor.join(10) == []
    assert answers == []


def test_failures_are_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_WAIT_S", 0.01)
    supervisor = Supervisor()
    gate = threading.Event()

    def step() -> bool:
        if not gate.is_set():
            raise ZeroDivisionError("bug")
        return False

    supervisor.start("x", step, lambda: supervisor.stop.wait(0.01))
    assert eventually(lambda: supervisor.health["x"].failures >= 2)
    assert "ZeroDivisionError" in supervisor.check("x")
    gate.set()
    assert eventually(lambda: supervisor.check("x") == "")
    assert supervisor.join(10) == []


def test_temporary_trouble_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor()

    def step() -> bool:
        raise Busy("disk is slow")

    supervisor.start("x", step, lambda: None)
    assert eventually(lambda: supervisor.check("x") == "disk is slow")
    assert supervisor.join(10) == []
