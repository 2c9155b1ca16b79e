"""Operating system release, its support, and whether updates are waiting for a restart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from ._machine import architecture, hostname, os_release
from ._platform import text_of, text_or

_PACKAGE_DATABASES = (
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
)
_RESTART = ("/run/reboot-required", "/var/run/reboot-required")
_AUTO = re.compile(r'^\s*APT::Periodic::Unattended-Upgrade\s+"(\d+)"', re.MULTILINE)


class OsRelease(Asset, frozen=True, kw_only=True):
    """The installed distribution; one row."""

    KEY = ("distribution",)

    distribution: Annotated[str, column("Distribution", "发行版", "ID of os-release")]
    version: Annotated[str, column("Version", "版本")] = ""
    name: Annotated[str, column("Full name", "全称")] = ""
    codename: Annotated[str, column("Codename", "代号")] = ""
    family: Annotated[list[str], column("Family", "家族", "ID_LIKE", wide=True)] = []
    arch: Annotated[str, column("Architecture", "架构")] = ""
    hostname: Annotated[str, column("Host name", "主机名")] = ""
    machine_id: Annotated[str, column("Machine id", "机器标识", wide=True)] = ""
    cpe: Annotated[str, column("CPE", "CPE", wide=True)] = ""
    support_end: Annotated[str, column("Support ends", "支持截止")] = ""
    updated_ns: Annotated[
        int | None, column("Packages changed", "软件包更新时间", "ns since 1970")
    ] = None
    automatic_updates: Annotated[bool | None, column("Automatic updates", "自动更新")] = None
    restart_required: Annotated[bool | None, column("Restart required", "需要重启")] = None
    restart_for: Annotated[list[str], column("Restart for", "重启原因", wide=True)] = []
    time_zone: Annotated[str, column("Time zone", "时区", wide=True)] = ""


def collect(host: Host, notes: Notes) -> Iterator[OsRelease]:
    """The one row; none of an image without os-release. Raises HostError."""
    path, release = os_release(host)
    if not path:
        if host.kind != "live":
            return
        raise PathMissing("/etc/os-release: there is none, the system cannot be told")
    if not release.get("ID"):
        notes.add(path, "no ID in it: linux is meant by the standard")
    waiting, reasons = _restart(host)
    yield OsRelease(
        distribution=release.get("ID", "linux"),
        version=_full_version(host, release),
        name=release.get("PRETTY_NAME", "") or release.get("NAME", ""),
        codename=release.get("VERSION_CODENAME", ""),
        family=release.get("ID_LIKE", "").split(),
        arch=architecture(host),
        hostname=hostname(host),
        machine_id=text_or(host, "/etc/machine-id"),
        cpe=release.get("CPE_NAME", ""),
        support_end=release.get("SUPPORT_END", ""),
        updated_ns=_updated(host),
        automatic_updates=_automatic(host, notes),
        restart_required=waiting,
        restart_for=reasons,
        time_zone=_time_zone(host),
    )


def _full_version(host: Host, release: dict[str, str]) -> str:
    version = release.get("VERSION_ID", "") or release.get("BUILD_ID", "")
    if release.get("ID") == "debian":
        # os-release has only the major number; debian_version has the point release.
        full = text_or(host, "/etc/debian_version")
        if version and full.startswith(f"{version}."):
            return full
    return version


def _updated(host: Host) -> int | None:
    times = []
    for path in _PACKAGE_DATABASES:
        try:
            times.append(host.stat(path).mtime_ns)
        except HostError:
            continue
    return max(times, default=None)


def _automatic(host: Host, notes: Notes) -> bool | None:
    """Whether the distribution's own updater is switched on; None where we know of none."""
    folder = "/etc/apt/apt.conf.d"
    answer: bool | None = None
    try:
        for name in host.listdir(folder)[:500]:
            hits = _AUTO.findall(text_of(host, f"{folder}/{name}", 65536))
            if hits:
                answer = hits[-1] != "0"
        if answer is None:
            answer = False
    except PathMissing:
        answer = None
    except HostError as error:
        notes.add(folder, error)
    for timer in ("dnf-automatic.timer", "dnf-automatic-install.timer"):
        wanted = f"/etc/systemd/system/timers.target.wants/{timer}"
        try:
            host.stat(wanted, follow=False)
        except HostError:
            continue
        answer = True
    return answer


def _restart(host: Host) -> tuple[bool | None, list[str]]:
    if host.kind != "live":
        return None, []
    for path in _RESTART:
        try:
            if host.exists(path):
                return True, sorted(set(text_or(host, f"{path}.pkgs").split()))
        except HostError:
            return None, []
    return False, []


def _time_zone(host: Host) -> str:
    try:
        return host.readlink("/etc/localtime").partition("zoneinfo/")[2]
    except HostError:
        return text_or(host, "/etc/timezone")


COLLECTOR = Collector("os.release", OsRelease, collect, 3600)
