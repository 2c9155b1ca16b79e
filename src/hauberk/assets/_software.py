"""What the software collectors share: the distribution's name, and one bounded walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hauberk.errors import HostError, PathMissing
from hauberk.ports import FileStat, Host, Notes

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
    """Regular files of the root filesystem that `matches` takes.

    `names` is a cheap first question by the bare name: files that it refuses are not even looked
    at. Other filesystems and `SKIP` are left out; folders that cannot be read and, after
    `max_entries` entries, the rest are problems, and are noted.
    """
    walk = host.walk(
        "/",
        skip=SKIP,
        wanted=names,
        denied=lambda path, reason: notes.add(
            path, f"{reason}: not looked into; run as root", hides=True
        ),
    )
    for count, entry in enumerate(walk):
        if count >= max_entries:
            notes.add("/", f"more than {max_entries} files; the rest was not looked at", hides=True)
            return
        if entry.kind == "file" and matches(entry):
            yield entry
