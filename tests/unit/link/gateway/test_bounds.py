from __future__ import annotations

import pytest
from storekit import Clock

from hauberk.errors import Busy
from hauberk.link.gateway.bounds import Held, Rate, network_of


def test_bucket_empties_and_refills_per_key() -> None:
    clock = Clock()
    rate = Rate(clock, per_s=2, burst=3)
    for _ in range(3):
        rate.take("a")
    with pytest.raises(Busy) as busy:
        rate.take("a")
    assert busy.value.retry_after >= 0.5
    rate.take("b")
    clock.forward(1)
    rate.take("a")
    rate.take("a")
    with pytest.raises(Busy):
        rate.take("a")


def test_held_bytes_are_bounded_and_given_back() -> None:
    held = Held(100)
    with held.hold(80, "a"), pytest.raises(Busy), held.hold(30, "b"):
        pass
    with held.hold(30, "a"):
        assert held.bytes == 30
    assert held.bytes == 0
    with held.hold(500, "a"):  # one alone always fits
        assert held.bytes == 500


def test_one_peer_holds_a_quarter_at_most() -> None:
    held = Held(100)
    with held.hold(20, "a"), held.hold(5, "a"), held.hold(20, "b"):
        with pytest.raises(Busy), held.hold(1, "a"):
            pass
        with held.hold(5, "b"):
            assert held.bytes == 50
    with held.hold(25, "a"):
        assert held.bytes == 25


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", "local"),
    ],
)
def test_one_ipv6_network_is_one_peer(address: str, network: str) -> None:
    assert network_of(address) == network
