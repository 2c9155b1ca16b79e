"""Disks, partitions and mounted filesystems with their space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, NotLive, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config
from ._platform import text_of

# CIFS, FTP and WebDAV take passwords and keys as options.
_SECRET_OPTION = re.compile(r"(?i)pass|secret|cred|token|key|^pwd?$")

SECTOR = 512
_SKIPPED_DISKS = re.compile(r"(?:ram|loop|zram|fd|sr|nbd|dm-snapshot)\d")
# Filesystems without storage behind them; overlay and nsfs mounts belong to containers.
_PSEUDO = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "pstore",
        "ramfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tracefs",
        "fuse.lxcfs",
        "fuse.gvfsd-fuse",
        "fuse.portal",
        "fuse.snapfuse",
    ]
)
# Asking these for space can hang for ever when the server is gone.
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "afs", "lustre"}
    | {"beegfs", "gpfs", "fuse"}
)
# Mounts that come and go with containers and belong to them.
_CONTAINERS = (
    "/run/containerd/",
    "/run/docker/",
    "/run/netns/",
    "/var/lib/containerd/",
    "/var/lib/containers/",
    "/var/lib/docker/",
    "/var/lib/kubelet/pods/",
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Storage(Asset, frozen=True, kw_only=True):
    """A block device, or a filesystem mounted (or, without a running machine, configured)."""

    KEY = ("kind", "device", "mount_point")
    VOLATILE = frozenset({"used_bytes", "available_bytes"})

    kind: Annotated[str, column("Kind", "类型", "disk, partition or filesystem")]
    device: Annotated[str, column("Device", "设备")]
    mount_point: Annotated[str, column("Mount point", "挂载点")] = ""
    fs_type: Annotated[str, column("Filesystem", "文件系统")] = ""
    size_bytes: Annotated[int | None, column("Size", "容量", "bytes")] = None
    used_bytes: Annotated[int | None, column("Used", "已用", "bytes")] = None
    available_bytes: Annotated[int | None, column("Available", "可用", "bytes")] = None
    read_only: Annotated[bool | None, column("Read-only", "只读")] = None
    encrypted: Annotated[bool | None, column("Encrypted", "已加密", "dm-crypt below it")] = None
    rotational: Annotated[bool | None, column("Rotational", "机械盘", wide=True)] = None
    removable: Annotated[bool | None, column("Removable", "可移动", wide=True)] = None
    model: Annotated[str, column("Model", "型号")] = ""
    serial: Annotated[str, column("Serial number", "序列号", wide=True)] = ""
    options: Annotated[list[str], column("Mount options", "挂载选项", wide=True)] = []


def collect(host: Host, notes: Notes) -> Iterator[Storage]:
    """Block devices of /sys/block, then mounts; of a root folder the lines of /etc/fstab."""
    try:
        mounts = parse_mounts(text_of(host, "/proc/self/mounts") or text_of(host, "/proc/mounts"))
    except HostError as error:
        notes.add("/proc/mounts", error)
        mounts = []
    if not mounts and host.kind != "live":
        yield from _fstab(host)
        return
    yield from _devices(host, notes)
    # The last mount on a point hides the ones before it.
    top = {point: (device, fs_type, options) for device, point, fs_type, options in mounts}
    for point, (device, fs_type, options) in top.items():
        if fs_type not in _PSEUDO and not point.startswith(_CONTAINERS):
            yield _mounted(host, notes, device, point, fs_type, options)


def _shown(options: list[str]) -> list[str]:
    """Options without the values of those that name a secret."""
    parts = (option.partition("=") for option in options)
    return sorted(
        name + equals + ("..." if value and _SECRET_OPTION.search(name) else value)
        for name, equals, value in parts
    )


def parse_mounts(text: str) -> list[tuple[str, str, str, list[str]]]:
    """(device, mount point, type, options) of each whole line of /proc/mounts or fstab."""
    found = []
    for line in text.splitlines()[:20_000]:
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        device, point, fs_type = (_unescape(f) for f in fields[:3])
        found.append((device, point, fs_type, fields[3].split(",") if len(fields) > 3 else []))
    return found


def _unescape(field: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 8) & 0x7F), field)


def _mounted(
    host: Host, notes: Notes, device: str, point: str, fs_type: str, options: list[str]
) -> Storage:
    total = used = available = None
    if fs_type not in _REMOTE and not fs_type.startswith("fuse."):
        try:
            space = host.usage(point)
            total, available = space.total, space.available
            used = space.total - space.free
        except (PathMissing, NotLive):
            # Mounted in another namespace, or recorded telemetry: size stays unknown.
            total = None
        except HostError as error:
            notes.add(point, error)
    return Storage(
        kind="filesystem",
        device=_config.without_password(device),
        mount_point=point,
        fs_type=fs_type,
        size_bytes=total,
        used_bytes=used,
        available_bytes=available,
        read_only="ro" in options,
        encrypted=True if _is_crypt(host, device) else None,
        options=_shown(options),
    )


def _fstab(host: Host) -> Iterator[Storage]:
    try:
        text = text_of(host, "/etc/fstab")
    except PathMissing:
        return
    if not text:
        raise NotLive(f"{host.name}: no running machine and no /etc/fstab")
    for device, point, fs_type, options in parse_mounts(text):
        if fs_type not in _PSEUDO and fs_type != "swap":
            yield Storage(
                kind="filesystem",
                device=_config.without_password(device),
                mount_point=point,
                fs_type=fs_type,
                read_only="ro" in options,
                options=_shown(options),
            )


def _devices(host: Host, notes: Notes) -> Iterator[Storage]:
    try:
        names = host.listdir("/sys/block")
    except PathMissing:
        return
    except HostError as error:
        notes.add("/sys/block", error)
        return
    for name in names[:4096]:
        if _SKIPPED_DISKS.match(name):
            continue
        top = f"/sys/block/{name}"
        try:
            yield _device(host, top, name, "disk")
            for part in host.listdir(top):
                if part.startswith(name) and host.exists(f"{top}/{part}/partition"):
                    yield _device(host, f"{top}/{part}", part, "partition")
        except PathMissing:
            # Unplugged meanwhile.
            continue
        except HostError as error:
            notes.add(top, error)


def _device(host: Host, top: str, name: str, kind: str) -> Storage:
    size = text_of(host, f"{top}/size", 32)
    mapped = text_of(host, f"{top}/dm/uuid", 256)
    label = text_of(host, f"{top}/dm/name", 256)
    return Storage(
        kind=kind,
        device=f"/dev/mapper/{label}" if label else f"/dev/{name}",
        size_bytes=int(size) * SECTOR if size.isdecimal() and len(size) < 16 else None,
        read_only=_flag(host, f"{top}/ro"),
        encrypted=mapped.startswith("CRYPT-") if mapped else None,
        rotational=_flag(host, f"{top}/queue/rotational"),
        removable=_flag(host, f"{top}/removable"),
        model=" ".join(text_of(host, f"{top}/device/model", 256).split()),
        serial=text_of(host, f"{top}/device/serial", 256) or text_of(host, f"{top}/serial", 256),
    )


def _is_crypt(host: Host, device: str) -> bool:
    if not device.startswith("/dev/mapper/"):
        return False
    try:
        names = host.listdir("/sys/block")
        for name in names[:4096]:
            if not name.startswith("dm-"):
                continue
            if f"/dev/mapper/{text_of(host, f'/sys/block/{name}/dm/name', 256)}" == device:
                return text_of(host, f"/sys/block/{name}/dm/uuid", 256).startswith("CRYPT-")
    except HostError:
        return False
    return False


def _flag(host: Host, path: str) -> bool | None:
    text = text_of(host, path, 8)
    return {"0": False, "1": True}.get(text)


COLLECTOR = Collector("hardware.storage", Storage, collect, 900)
