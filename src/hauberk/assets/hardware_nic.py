"""Network cards and other link devices of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, NotLive, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from ._platform import text_of

_TOP = "/sys/class/net"
_PROMISC = 0x100
_TYPES = {"1": "ethernet", "772": "loopback", "32": "infiniband", "512": "ppp", "65534": "none"}


class Nic(Asset, frozen=True, kw_only=True):
    """A link device. Container ends (veth and its like) belong to their containers."""

    KEY = ("name",)

    name: Annotated[str, column("Name", "名称")]
    kind: Annotated[str, column("Kind", "类型", "physical or virtual")]
    link_type: Annotated[str, column("Link type", "链路类型")] = ""
    mac: Annotated[str, column("MAC address", "MAC 地址")] = ""
    state: Annotated[str, column("State", "状态")] = ""
    speed_mbps: Annotated[int | None, column("Speed (Mbit/s)", "速率 (Mbit/s)")] = None
    mtu: Annotated[int | None, column("MTU", "MTU")] = None
    driver: Annotated[str, column("Driver", "驱动")] = ""
    vendor_id: Annotated[str, column("Vendor id", "厂商编号", wide=True)] = ""
    device_id: Annotated[str, column("Device id", "设备编号", wide=True)] = ""
    promiscuous: Annotated[bool | None, column("Promiscuous", "混杂模式")] = None


def collect(host: Host, notes: Notes) -> Iterator[Nic]:
    """One row per device of /sys/class/net."""
    try:
        names = host.listdir(_TOP)
    except PathMissing as error:
        if host.kind == "live":
            raise
        raise NotLive(f"{_TOP}: {host.name} is not a running machine") from error
    for name in names[:10_000]:
        try:
            row = _nic(host, name)
        except PathMissing:
            # Gone since it was listed.
            continue
        except HostError as error:
            notes.add(f"{_TOP}/{name}", error)
            continue
        if row is not None:
            yield row


def _nic(host: Host, name: str) -> Nic | None:
    top = f"{_TOP}/{name}"
    if name == "bonding_masters":
        return None
    physical = host.exists(f"{top}/device")
    index = text_of(host, f"{top}/ifindex", 16)
    peer = text_of(host, f"{top}/iflink", 16)
    if not physical and index != peer and "DEVTYPE=" not in text_of(host, f"{top}/uevent", 4096):
        return None
    flags = text_of(host, f"{top}/flags", 16)
    kind = text_of(host, f"{top}/type", 16)
    return Nic(
        name=name,
        kind="physical" if physical else "virtual",
        link_type=_TYPES.get(kind, kind),
        mac=_mac(text_of(host, f"{top}/address", 128)),
        state=text_of(host, f"{top}/operstate", 32),
        speed_mbps=_speed(host, top),
        mtu=_number(text_of(host, f"{top}/mtu", 16)),
        driver=_driver(host, top) if physical else "",
        vendor_id=text_of(host, f"{top}/device/vendor", 32),
        device_id=text_of(host, f"{top}/device/device", 32),
        promiscuous=_promiscuous(flags),
    )


def _mac(text: str) -> str:
    return "" if set(text) <= {"0", ":"} else text


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _speed(host: Host, top: str) -> int | None:
    try:
        # EINVAL while the link is down, -1 where the driver does not know.
        return _number(text_of(host, f"{top}/speed", 16))
    except HostError:
        return None


def _driver(host: Host, top: str) -> str:
    try:
        return host.readlink(f"{top}/device/driver").rpartition("/")[2]
    except PathMissing:
        return ""


def _promiscuous(flags: str) -> bool | None:
    try:
        return bool(int(flags, 16) & _PROMISC)
    except ValueError:
        return None


COLLECTOR = Collector("hardware.nic", Nic, collect, 900)
