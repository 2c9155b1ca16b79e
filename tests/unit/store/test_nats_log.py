"""What needs a server is in tests/contract/test_inbox_contract.py."""

from __future__ import annotations

import pytest
from storekit import item

from hauberk.errors import Conflict
from hauberk.ports import InboxItem
from hauberk.store.nats_log import pack, unpack


def test_an_item_comes_back_whole_with_its_position() -> None:
    one = InboxItem("t", "w\r\n", "a\0", "b\u2028", 2**62, 5, b"\0\xff", 0, b"digest")
    back = unpack(pack(one), 7)
    assert back.position == 7
    for name in ("tenant", "workload", "agent", "boot", "sequence", "received_ns", "body"):
        assert getattr(back, name) == getattr(one, name)
    assert back.digest == b"digest"


@pytest.mark.parametrize("message", [b"", b"hello", pack(item())[:-1], b"\x98" + b"\xc1" * 8])
def test_what_is_not_hauberks_is_told(message: bytes) -> None:
    with pytest.raises(Conflict, match="message 3 is not of Hauberk"):
        unpack(message, 3)
