from __future__ import annotations

import msgspec

from hauberk.sensor.settings import SensorSettings


def test_default_ring_is_a_power_of_two_of_whole_pages():
    size = SensorSettings().ring_bytes
    assert size == 8 * 1024 * 1024
    assert size & (size - 1) == 0


def test_settings_come_from_configuration():
    got = msgspec.convert({"ring_bytes": 4096, "native": False}, SensorSettings)
    assert got == SensorSettings(ring_bytes=4096, native=False)
