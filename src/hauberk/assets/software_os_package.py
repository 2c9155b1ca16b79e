"""software.os_package: what dpkg, rpm and apk say is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from hauberk.assets import _apk, _dpkg, _rpm
from hauberk.assets._purl import purl
from hauberk.assets._software import Distro, distro
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

# rpm installs these side by side instead of upgrading them.
INSTALL_ONLY = ("kernel", "kmod-", "gpg-pubkey")
_RPM_VENDORS = {"rhel": "redhat", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}


class OsPackage(Asset, frozen=True, kw_only=True):
    """One package of the operating system. Texts are as the package manager writes them."""

    KEY = ("manager", "name", "arch", "instance")

    manager: Annotated[str, column("Manager", "包管理器", "dpkg, rpm, apk")]
    name: Annotated[str, column("Package", "软件包")]
    version: Annotated[str, column("Version", "版本", "whole: epoch, version, release")] = ""
    arch: Annotated[str, column("Architecture", "架构")] = ""
    instance: Annotated[
        str,
        column("Instance", "实例", "the version, where several are installed at once", wide=True),
    ] = ""
    source: Annotated[str, column("Source package", "源码包")] = ""
    source_version: Annotated[str, column("Source version", "源码包版本", wide=True)] = ""
    status: Annotated[
        str, column("Status", "状态", "installed, config-files, unpacked, half-installed ...")
    ] = ""
    held: Annotated[bool, column("Held", "锁定版本", "kept back from upgrades", wide=True)] = False
    vendor: Annotated[str, column("Vendor", "供应商", "or maintainer")] = ""
    license: Annotated[str, column("Licence", "许可证", wide=True)] = ""
    size: Annotated[int | None, column("Installed size", "安装大小", "bytes", wide=True)] = None
    installed_ns: Annotated[
        int | None, column("Installed", "安装时间", "ns since 1970; None: not recorded")
    ] = None
    purl: Annotated[str, column("Package URL", "软件包 URL", wide=True)] = ""


def package_key(manager: str, name: str, arch: str, version: str = "") -> str:
    """The key of a package's row: `OsPackage.key()` without making the row."""
    instance = version if manager == "rpm" and name.startswith(INSTALL_ONLY) else ""
    return f"{manager}\x1f{name}\x1f{arch}\x1f{instance}"


def _dpkg_rows(host: Host, notes: Notes, system: Distro) -> Iterator[OsPackage]:
    times = _list_times(host, notes)
    namespace = system.id or "debian"
    for package in _dpkg.packages(host, notes):
        yield OsPackage(
            manager="dpkg",
            name=package.name,
            version=package.version,
            arch=package.arch,
            source=package.source,
            source_version=package.source_version,
            status=package.state,
            held=package.want == "hold",
            vendor=package.maintainer,
            size=package.size,
            installed_ns=next(
                (times[name] for name in _dpkg.list_names(package) if name in times), None
            ),
            purl=purl(
                "deb",
                package.name,
                package.version,
                namespace=namespace,
                qualifiers={"arch": package.arch, "distro": system.tag},
            ),
        )


def _list_times(host: Host, notes: Notes) -> dict[str, int]:
    """Install times: dpkg keeps none, but writes a package's file list when it unpacks it."""
    try:
        return {
            entry.path.rpartition("/")[2]: entry.mtime_ns
            for entry in host.walk(_dpkg.INFO, max_depth=1)
            if entry.path.endswith(".list")
        }
    except PathMissing:
        return {}
    except HostError as error:
        notes.add(_dpkg.INFO, error)
        return {}


def _rpm_rows(host: Host, notes: Notes, system: Distro) -> Iterator[OsPackage]:
    namespace = _RPM_VENDORS.get(system.id, system.id)
    for header in _rpm.headers(host, notes):
        name = header.string(_rpm.NAME)
        if not name or name == "gpg-pubkey":  # rpm files its trusted keys as packages
            continue
        version, arch = header.evr(), header.arch()
        source, source_version = _rpm.source_of(header.string(_rpm.SOURCERPM))
        time = header.integer(_rpm.INSTALLTIME)
        size = header.integer(_rpm.LONGSIZE)
        epoch = header.integer(_rpm.EPOCH)
        instance = package_key("rpm", name, arch, version).rpartition("\x1f")[2]
        yield OsPackage(
            manager="rpm",
            name=name,
            version=version,
            arch=arch,
            instance=instance,
            source=source or name,
            source_version=source_version or version,
            status="installed",
            vendor=header.string(_rpm.VENDOR),
            license=header.string(_rpm.LICENSE),
            size=size if size is not None else header.integer(_rpm.SIZE),
            installed_ns=time * 1_000_000_000 if time else None,
            purl=purl(
                "rpm",
                name,
                version.rpartition(":")[2],
                namespace=namespace,
                qualifiers={
                    "arch": arch,
                    "distro": system.tag,
                    "epoch": str(epoch) if epoch else "",
                },
            ),
        )


def _apk_rows(host: Host, _notes: Notes, system: Distro) -> Iterator[OsPackage]:
    namespace = system.id or "alpine"
    for package in _apk.parse_installed(_apk.read(host)):
        yield OsPackage(
            manager="apk",
            name=package.name,
            version=package.version,
            arch=package.arch,
            source=package.origin,
            source_version=package.version,
            status="installed",
            vendor=package.maintainer,
            license=package.license,
            size=package.size,
            purl=purl(
                "apk",
                package.name,
                package.version,
                namespace=namespace,
                qualifiers={"arch": package.arch, "distro": system.tag},
            ),
        )


_MANAGERS: tuple[Callable[[Host, Notes, Distro], Iterator[OsPackage]], ...] = (
    _dpkg_rows,
    _rpm_rows,
    _apk_rows,
)


def collect(host: Host, notes: Notes) -> Iterator[OsPackage]:
    """Rows of every package database on `host`, in the database's order.

    A machine without any database yields nothing. A second row of an equal key (a damaged
    database) is left out and noted.

    Raises:
        HostError: a database is there and could not be read (after the rows of the others, so
            that its packages are not taken for removed).
    """
    system = distro(host, notes)
    seen: set[str] = set()
    failures: list[HostError] = []
    for rows in _MANAGERS:
        try:
            for row in rows(host, notes, system):
                key = row.key()
                if key in seen:
                    notes.add(f"{row.manager}: {row.name}", "listed twice; the first one counts")
                    continue
                seen.add(key)
                yield row
        except PathMissing:
            continue
        except HostError as error:
            failures.append(error)
    for failure in failures[1:]:
        notes.add(host.name, failure)
    if failures:
        raise failures[0]


COLLECTOR = Collector("software.os_package", OsPackage, collect, every_s=3600)
