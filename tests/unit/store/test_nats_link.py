"""What needs a server is in tests/contract/test_inbox_contract.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from hauberk.errors import BadInput
from hauberk.store.nats_link import NatsLink, servers_of


def test_servers_of_a_setting() -> None:
    assert servers_of("nats://u:p@one:4222, nats://two,tls://[::1]:5") == [
        "nats://u:p@one:4222",
        "nats://u:p@two:4222",
        "tls://u:p@[::1]:5",
    ]
    assert servers_of("nats://one") == ["nats://one:4222"]


@pytest.mark.parametrize(
    "text", ["", " , ", "one:4222", "http://one", "nats://", "nats://one:x", "nats://one/path"]
)
def test_what_is_no_server_is_told(text: str) -> None:
    with pytest.raises(BadInput, match=r"^inbox: "):
        servers_of(text)


def test_messages_hold_no_password() -> None:
    for text in ("http://u:geheim@one", "nats://u:geheim@one:x"):
        with pytest.raises(BadInput) as caught:
            servers_of(text)
        assert "geheim" not in str(caught.value)


def test_files_are_looked_at_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no\.creds"):
        NatsLink(["nats://127.0.0.1:1"], name="x", credentials=str(tmp_path / "no.creds"))
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(BadInput, match=r"ca\.pem.*PEM"):
        NatsLink(["tls://127.0.0.1:1"], name="x", ca=str(tmp_path / "ca.pem"))
