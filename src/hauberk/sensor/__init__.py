"""Watches the kernel: processes and connections as they happen, by the best means it gives."""

from hauberk.sensor.sensor import Sensor, open_sensor
from hauberk.sensor.settings import SensorSettings

__all__ = ["Sensor", "SensorSettings", "open_sensor"]
