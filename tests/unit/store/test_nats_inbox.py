"""What needs a server is in tests/contract/test_inbox_contract.py."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import cast

import pytest
from nats.js.errors import APIError

from hauberk.errors import BadInput, StorageFull
from hauberk.store import nats_inbox
from hauberk.store.nats_inbox import NEED_PAYLOAD, NatsInbox
from hauberk.store.nats_link import NatsLink
from hauberk.store.nats_log import NatsLog


class Link:
    max_payload = NEED_PAYLOAD


def test_workloads_stay_where_they_are_and_are_spread() -> None:
    inbox = NatsInbox.__new__(NatsInbox)
    inbox._partitions = 4
    # Fixed for ever: another answer would split a workload over two logs.
    assert [inbox.partition("default", f"w{n}") for n in range(8)] == [1, 1, 3, 1, 1, 1, 1, 1]
    spread = Counter(inbox.partition("default", f"w{n}") for n in range(4000))
    assert min(spread.values()) > 800


def test_settings_that_cannot_work_are_told() -> None:
    link = Link()
    with pytest.raises(BadInput, match="1 to 64 partitions"):
        NatsInbox(cast(NatsLink, link), partitions=0)
    link.max_payload = 1024 * 1024
    with pytest.raises(BadInput, match="max_payload"):
        NatsInbox(cast(NatsLink, link), partitions=1)


def test_servers_without_room_are_told_until_a_batch_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Answers:
        async def stream_info(self, _stream: str) -> None:
            asked.append(1)

    asked: list[int] = []
    log = SimpleNamespace(stream="S", told=lambda _info: None, depth=lambda: (0, 0))
    inbox = NatsInbox.__new__(NatsInbox)
    inbox._link = cast(NatsLink, SimpleNamespace(connected=True, js=Answers()))
    inbox.logs = (cast(NatsLog, log),)
    inbox._max_items = inbox._max_bytes = 1
    inbox._failing = inbox._mute = ""
    full = APIError(code=500, description="insufficient resources", err_code=10023)
    assert isinstance(inbox._translate(full, inbox.logs[0]), StorageFull)
    monkeypatch.setattr(nats_inbox, "REFRESH_S", 0.001)

    async def refresh() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(inbox._refresh(), 0.1)

    asyncio.run(refresh())
    assert asked
    assert "free space" in inbox.wrong()
