from __future__ import annotations

from pathlib import Path

import pytest

from hauberk.cli import worker
from hauberk.server import worker as server_worker
from hauberk.server.settings import Settings


def test_options_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Settings] = []
    monkeypatch.setattr(server_worker, "run", lambda settings: ran.append(settings) or 0)
    monkeypatch.setenv("HAUBERK_CONFIG", "/dev/null")
    monkeypatch.setenv("HAUBERK_INBOX", "nats://one:4222")
    assert worker.worker(data=tmp_path, metrics="127.0.0.1:9100") == 0
    assert (ran[0].data, ran[0].inbox) == (str(tmp_path), "nats://one:4222")
    assert ran[0].metrics == "127.0.0.1:9100"
