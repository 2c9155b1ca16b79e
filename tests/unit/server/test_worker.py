"""Running workers are in tests/integration/test_workers.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from hauberk.errors import BadInput, Unreachable
from hauberk.server import worker
from hauberk.server.settings import Settings
from hauberk.store import nats_link


def test_a_worker_needs_an_inbox_that_can_be_shared(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"inbox: .*nats://"):
        worker.run(Settings(data=str(tmp_path)))
    with pytest.raises(BadInput, match="nothing to do"):
        worker.run(Settings(data=str(tmp_path), inbox="nats://one", consume=False))


def test_without_nats_it_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_link, "CONNECT_S", 0.2)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    settings = Settings(data=str(tmp_path), inbox="nats://127.0.0.1:1", user="root")
    with pytest.raises(Unreachable, match="NATS"):
        worker.run(settings)
