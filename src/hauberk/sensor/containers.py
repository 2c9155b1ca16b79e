"""From cgroup ids to container names."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
WALK_EVERY_NS = 200_000_000
# A walk may cost this share of one core at most: users can make cgroups by the ten thousand.
WALK_SHARE = 50
MOST = 65536


class Containers:
    """Names of containers by cgroup id (the inode of the folder in the unified hierarchy).

    Args:
        roots: where the unified hierarchy may be mounted; the first with cgroup.procs and
            cgroup.controllers is used, none is fine (every name is then "").
    """

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._root = next((r for r in roots if Path(r, "cgroup.controllers").exists()), None)
        self._given: dict[int, str] = {}
        self._by_id: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._paths: dict[int, str] = {}
        self._next_walk_ns = 0

    def set(self, by_cgroup_id: Mapping[int, str]) -> None:
        """Names as a runtime's socket gives them.

        They also name cgroups further below, and those beside that carry the same container id.
        """
        self._given = dict(by_cgroup_id)
        self._names.clear()
        self._walk()
        self._by_id = {}
        for cgroup_id, name in by_cgroup_id.items():
            if ids := CONTAINER_ID.findall(self._paths.get(cgroup_id, "")):
                self._by_id[ids[-1]] = name

    def cached(self, cgroup_id: int) -> str | None:
        """The name if it is known without looking."""
        return self._names.get(cgroup_id)

    def name(self, cgroup_id: int, now_ns: int) -> str:
        """Container's name, else its 64-digit id, else "" (no container, or the cgroup is gone)."""
        if cgroup_id == 0:
            return ""
        if len(self._names) > MOST:
            self._names.clear()
        path = self._paths.get(cgroup_id)
        given = self._given.get(cgroup_id)
        if path is None and given is None:
            if now_ns < self._next_walk_ns:
                return ""  # looked just now: not remembered, so a later event looks again
            before = time.thread_time()
            self._walk()
            cost = int((time.thread_time() - before) * WALK_SHARE * 1e9)
            self._next_walk_ns = now_ns + max(WALK_EVERY_NS, cost)
            path = self._paths.get(cgroup_id, "")
        self._names[cgroup_id] = name = given if given is not None else self._from_path(path or "")
        return name

    def id_of(self, path: str) -> int:
        """Cgroup id of a path as /proc/PID/cgroup gives it, 0 when it cannot be told."""
        if self._root is None:
            return 0
        try:
            return os.stat(self._root + path).st_ino  # noqa: PTH116
        except OSError:
            return 0

    def _from_path(self, path: str) -> str:
        at = path
        while at and at != "/":
            at = at.rpartition("/")[0]
            above = self.id_of(at) if self._given else 0
            if above in self._given:
                return self._given[above]
        ids = CONTAINER_ID.findall(path)
        return self._by_id.get(ids[-1], ids[-1]) if ids else ""

    def _walk(self) -> None:
        self._paths = {}
        todo = [""] if self._root is not None else []
        while todo and len(self._paths) < MOST:
            at = todo.pop()
            try:
                with os.scandir(f"{self._root}{at}/") as entries:
                    folders = [e for e in entries if e.is_dir(follow_symlinks=False)]
            except OSError:
                continue  # removed meanwhile
            for entry in folders:
                path = f"{at}/{entry.name}"
                self._paths[entry.inode()] = path
                todo.append(path)
