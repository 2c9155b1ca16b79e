"""Names of running containers by cgroup id, for the sensor."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from hauberk.schema.asset import Asset

SUBCLASS = "container.container"
ROOTS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_log = logging.getLogger(__name__)


def names(
    rows: Iterable[Asset], *, proc: str = "/proc", roots: Iterable[str] = ROOTS
) -> dict[int, str]:
    """Cgroup id (inode in the unified hierarchy) -> container name.

    Args:
        rows: of `container.container`; those without a running process are left out.
        proc: where the process file system is.
        roots: where the unified hierarchy may be mounted.
    """
    root = next((r for r in roots if Path(r, "cgroup.controllers").exists()), None)
    found: dict[int, str] = {}
    if root is None:
        return found
    for row in rows:
        pid, name = getattr(row, "pid", 0), getattr(row, "name", "") or getattr(row, "id", "")
        if not pid or not name:
            continue
        try:
            lines = Path(proc, str(pid), "cgroup").read_text("utf-8", "replace").splitlines()
            path = next((line[3:] for line in lines if line.startswith("0::")), "")
            if path not in ("", "/"):
                found[Path(root + path).stat().st_ino] = name
        except OSError as error:
            _log.debug("container %s ended meanwhile: %s", name, error)
    return found
