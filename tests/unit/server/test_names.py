from __future__ import annotations

import socket

from hauberk.server.names import certificate_names, host_names, machine_addresses, url
from hauberk.server.settings import Settings


def test_certificate_names_hold_what_people_type() -> None:
    settings = Settings(
        listen="127.0.0.5:1", gateway="0.0.0.0:2", names=["web.example", "bad name!"]
    )
    names = certificate_names(settings)
    for wanted in (
        "localhost",
        "127.0.0.1",
        "::1",
        "127.0.0.5",
        "web.example",
        socket.gethostname(),
    ):
        assert wanted in names
    assert "0.0.0.0" not in names
    assert "bad name!" not in names
    assert len(names) == len(set(names))
    assert set(machine_addresses()) <= set(names)


def test_machine_addresses_are_reachable_ones() -> None:
    for address in machine_addresses():
        assert not address.startswith(("127.", "fe80", "::1"))
    assert socket.gethostname() in host_names()


def test_urls() -> None:
    assert url("127.0.0.1", 8443) == "https://127.0.0.1:8443"
    assert url("::1", 1) == "https://[::1]:1"
    assert "0.0.0.0" not in url("0.0.0.0", 1)
