"""What the software collectors share: the distribution's name, and one bounded walk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hauberk.errors import HostError, PathMissing
from hauberk.ports import FileStat, Host, Notes
from hauberk.schema.text import from_bytes

# Kernel views, and what belongs to containers: their own roots are inventoried as such.
SKIP = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var/run",
    "/lost+found",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet/pods",
    "/var/lib/lxcfs",
    "/var/lib/hauberk",
)
MAX_ENTRIES = 5_000_000
PACE_ENTRIES = 512
# Filesystems on own storage; what is of the kernel, the network or a user is left out.
LOCAL_TYPES = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs"),
        *("nilfs2"),
    }
)
MAX_MOUNTS = 256
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Distro(NamedTuple):
    """`ID` and `VERSION_ID` of os-release; both "" when there is none."""

    id: str
    version: str

    @property
    def tag(self) -> str:
        """`debian-12`: the value of a purl's `distro` qualifier."""
        return f"{self.id}-{self.version}" if self.version else self.id


def distro(host: Host, notes: Notes) -> Distro:
    """Name the distribution of `host`; only used for package URLs."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            data = host.read(path, limit=65536)
        except PathMissing:
            continue
        except HostError as error:
            notes.add(path, error)
            continue
        pairs = dict(
            line.split("=", 1)
            for line in data.decode("utf-8", "replace").splitlines()
            if "=" in line and not line.startswith("#")
        )
        return Distro(_unquote(pairs.get("ID", "")), _unquote(pairs.get("VERSION_ID", "")))
    return Distro("", "")


def _unquote(value: str) -> str:
    return value.strip().strip("\"'")


def find(
    host: Host,
    notes: Notes,
    matches: Callable[[FileStat], bool],
    *,
    names: Callable[[str], bool] | None = None,
    max_entries: int = MAX_ENTRIES,
) -> Iterator[FileStat]:
    """Regular files of the local filesystems that `matches` takes.

    `names` is a cheap first question by the bare name: files that it refuses are not even looked
    at. `SKIP` and what is of the network or a user are left out; folders that cannot be read and,
    after `max_entries` entries, the rest are problems, and are noted.
    """

    def denied(path: str, reason: str) -> None:
        notes.add(path, f"{reason}: not looked into; run as root", hides=True)

    count = 0
    for top in tops(host, notes):
        try:
            for entry in host.walk(top, skip=SKIP, wanted=names, denied=denied):
                count += 1
                if count % PACE_ENTRIES == 0:
                    notes.pace()
                if count > max_entries:
                    what = f"more than {max_entries} files; the rest was not looked at"
                    notes.add(top, what, hides=True)
                    return
                if entry.kind == "file" and matches(entry):
                    yield entry
        except PathMissing:
            if top == "/":
                raise
        except HostError as error:
            if top == "/":
                raise
            notes.add(top, error, hides=True)


def tops(host: Host, notes: Notes) -> list[str]:
    """The root, and where else the running machine has local filesystems mounted, each once."""
    found = ["/"]
    if host.kind != "live":
        return found
    try:
        table = host.head("/proc/self/mountinfo", 4 * 1024 * 1024)
        seen = {host.stat("/").device}
    except PathMissing:
        return found
    except HostError as error:
        notes.add("/proc/self/mountinfo", error, hides=True)
        return found
    for line in from_bytes(table).splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        if len(fields) < 5 or kind not in LOCAL_TYPES:
            continue
        top = _ESCAPED.sub(lambda m: chr(int(m[1], 8)), fields[4])
        if any(top == s or top.startswith(f"{s}/") for s in SKIP):
            continue
        try:
            device = host.stat(top).device
        except PathMissing:
            continue
        except HostError as error:
            notes.add(top, error, hides=True)
            continue
        if device in seen:
            continue
        if len(found) > MAX_MOUNTS:
            notes.add(top, f"more than {MAX_MOUNTS} filesystems; not looked into", hides=True)
            break
        seen.add(device)
        found.append(top)
    return found
