"""Container ids in cgroup paths, whatever the runtime and cgroup driver."""

from __future__ import annotations

import re

# The id stands alone or behind a prefix (docker-, libpod-, crio-, :cri-containerd:) and may end in
# .scope; conmon is the monitor beside the container, not the container.
_ID = re.compile(r"(?<![0-9a-f])(?<!conmon-)([0-9a-f]{64})(?![0-9a-f])")


def container_of_cgroup(path: str) -> str:
    """The 64-hex container id in a cgroup path or in lines of /proc/PID/cgroup, else "".

    The innermost one where containers are nested. Docker, Podman (libpod), containerd and CRI-O
    forms under cgroupfs and systemd drivers; one regular expression over at most 64 KiB.
    """
    for line in path[:65536].splitlines():
        ids = _ID.findall(line)
        if ids:
            return str(ids[-1])
    return ""
