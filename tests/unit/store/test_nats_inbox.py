"""What needs a server is in tests/contract/test_inbox_contract.py."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest

from hauberk.errors import BadInput
from hauberk.store.nats_inbox import NEED_PAYLOAD, NatsInbox
from hauberk.store.nats_link import NatsLink


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
