"""Firmware, boards, TPM, secure boot, and what the machine runs on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, NotLive, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from ._platform import platform, text_of

_DMI = "/sys/class/dmi/id"
_EFI = "/sys/firmware/efi"
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
# component -> names of its vendor, product, version, date and serial files in DMI.
_PARTS: dict[str, tuple[str, str, str, str, str]] = {
    "bios": ("bios_vendor", "bios_release", "bios_version", "bios_date", ""),
    "system": ("sys_vendor", "product_name", "product_version", "", "product_serial"),
    "board": ("board_vendor", "board_name", "board_version", "", "board_serial"),
    "chassis": ("chassis_vendor", "chassis_type", "chassis_version", "", "chassis_serial"),
}


class Firmware(Asset, frozen=True, kw_only=True):
    """One component below the operating system."""

    KEY = ("component",)

    component: Annotated[
        str, column("Component", "部件", "bios, system, board, chassis, boot, tpm, platform")
    ]
    vendor: Annotated[str, column("Vendor", "厂商")] = ""
    product: Annotated[str, column("Product", "产品")] = ""
    version: Annotated[str, column("Version", "版本")] = ""
    date: Annotated[str, column("Date", "日期")] = ""
    serial: Annotated[str, column("Serial number", "序列号", wide=True)] = ""
    state: Annotated[str, column("State", "状态")] = ""
    evidence: Annotated[list[str], column("Evidence", "依据", wide=True)] = []


def collect(host: Host, notes: Notes) -> Iterator[Firmware]:
    """DMI parts, boot mode with secure boot, TPM, and the platform (physical, vm, container)."""
    if host.kind != "live" and not host.exists("/sys/class"):
        raise NotLive(f"/sys: {host.name} is not a running machine")
    for component, files in _PARTS.items():
        values = [_dmi(host, notes, name) for name in files]
        if any(values):
            vendor, product, version, date, serial = values
            yield Firmware(
                component=component,
                vendor=vendor,
                product=product,
                version=version,
                date=date,
                serial=serial,
            )
    try:
        yield _boot(host)
    except HostError as error:
        notes.add(_EFI, error)
    try:
        yield from _tpm(host)
    except HostError as error:
        notes.add("/sys/class/tpm", error)
    found = platform(host)
    yield Firmware(
        component="platform",
        product=found.name,
        state=found.kind,
        version=found.hypervisor,
        evidence=found.evidence,
    )


def _dmi(host: Host, notes: Notes, name: str) -> str:
    if not name:
        return ""
    try:
        return " ".join(text_of(host, f"{_DMI}/{name}", 1024).split())
    except HostError as error:
        notes.add(f"{_DMI}/{name}", error)
        return ""


def _boot(host: Host) -> Firmware:
    if not host.exists(_EFI):
        return Firmware(component="boot", product="not UEFI", state="secure boot impossible")
    path = f"{_EFI}/efivars/SecureBoot-{_GLOBAL}"
    try:
        # Four bytes of attributes, then the value.
        value = host.head(path, 5)
    except PathMissing:
        return Firmware(component="boot", product="UEFI", state="secure boot unknown")
    if len(value) < 5:
        return Firmware(component="boot", product="UEFI", state="secure boot unknown")
    return Firmware(
        component="boot",
        product="UEFI",
        state="secure boot on" if value[4] == 1 else "secure boot off",
    )


def _tpm(host: Host) -> Iterator[Firmware]:
    try:
        names = host.listdir("/sys/class/tpm")
    except PathMissing:
        return
    for name in names[:8]:
        top = f"/sys/class/tpm/{name}"
        yield Firmware(
            component=name,
            product=text_of(host, f"{top}/device/description", 256),
            version=text_of(host, f"{top}/tpm_version_major", 16),
            state="present",
        )


COLLECTOR = Collector("hardware.firmware", Firmware, collect, 21600)
