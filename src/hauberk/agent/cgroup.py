"""The agent in a control group of its own: v2, v1 or hybrid, else pacing and the reason why not.

Arithmetic of the CPU bound: one group holds the whole agent, so its quota is the event path's grant
plus 100 % of one core. Background work is one thread and can never take more than one core, so
whatever it does, the event path's grant is left. A group for the background thread alone would be
worse: a thread that the kernel stops while it holds the interpreter's lock stops all others. The
hourly mean of background work is kept by pacing (agent/budget.py), here as without a group.

Only this process is ever moved, and on v2 the launcher that stays as its parent: a group with
processes of its own hands no controller down. Nothing else in the hierarchy is changed but, on v2,
which controllers the agent's own parent group hands down.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from hauberk.link.client.files import write_atomic
from hauberk.schema.link import Budget

ONE_CORE_PCT = 100.0
PERIOD_US = 100_000
# An ordinary group's weight; less would starve the event path on a machine with a handful of busy
# processes. While the machine is pressed background work rests, so more weight serves the event
# path alone: among a hundred busy processes on two cores it still gets the default grant.
WEIGHT, URGENT_WEIGHT, IO_WEIGHT = 100, 1000, 20
SHARES_PER_WEIGHT = 10.24
HIGH_SHARE = 0.8
# With less the kernel would kill every agent that starts, also the one that would hear of more.
LEAST_MEMORY = 64 * 1024 * 1024
V1_WANTED, V2_WANTED = ("cpu", "memory", "blkio"), ("cpu", "memory", "io")
By = Literal["cgroup2", "cgroup1", "pacing"]
_log = logging.getLogger(__name__)


class Tree(Protocol):
    """The file system as this module needs it; every method raises OSError."""

    def read(self, path: Path) -> str:
        """A whole small file."""

    def write(self, path: Path, text: str) -> None:
        """One write into an existing file."""

    def mkdir(self, path: Path) -> None:
        """Make a group; it exists already: no error."""

    def rmdir(self, path: Path) -> None:
        """Remove an empty group."""


class LiveTree:
    """The real one."""

    def read(self, path: Path) -> str:
        """As `Tree`."""
        return path.read_text("utf-8", "replace")

    def write(self, path: Path, text: str) -> None:
        """As `Tree`."""
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)

    def mkdir(self, path: Path) -> None:
        """As `Tree`."""
        path.mkdir(mode=0o755, exist_ok=True)

    def rmdir(self, path: Path) -> None:
        """As `Tree`."""
        path.rmdir()


@dataclass(slots=True)
class _Group:
    """A group that the agent made: where, below which one, and for which controllers."""

    path: Path
    parent: Path
    v2: bool
    controllers: list[str] = field(default_factory=list)


class _Left(msgspec.Struct, frozen=True, kw_only=True):
    """The file that lets an uninstall find what a killed agent left."""

    groups: list[str] = []


class OwnCgroup:
    """The agent's own group. Not thread-safe."""

    def __init__(
        self, folder: Path, *, tree: Tree | None = None, pid: int | None = None, launcher: int = 0
    ) -> None:
        """Nothing is made before `enter`.

        Args:
            folder: of the agent's state; names the group, so that a restart finds it again.
            tree: the file system.
            pid: this process.
            launcher: our own launcher, when it is the parent of this process.
        """
        self._launcher = launcher
        self._file = folder / "cgroup.json"
        self._tree: Tree = tree or LiveTree()
        self._pid = pid or os.getpid()
        digest = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=4).hexdigest()
        self.name = f"hauberk-agent-{digest}"
        self._groups: list[_Group] = []
        self._budget = Budget()
        self._reasons: list[str] = []
        self._urgent = False
        self.by: By = "pacing"
        self.detail = "not tried yet"

    def enter(self, budget: Budget) -> None:
        """Make the group or take over the one that a killed agent left, move in, set the bounds."""
        reasons: list[str] = []
        try:
            self._enter(reasons)
        except (OSError, ValueError) as error:
            reasons.append(str(error))
        self._remember()
        self._reasons = reasons
        self.change(budget)
        _log.info("bounds by %s: %s", self.by, self.detail)

    def change(self, budget: Budget) -> None:
        """Set other bounds and read back which ones hold."""
        self._budget = budget
        refused = list(self._reasons)
        told: list[str] = []
        held: set[str] = set()
        for group in self._groups:
            for controller in group.controllers:
                for name, text, must in _bounds(
                    controller, budget, URGENT_WEIGHT if self._urgent else WEIGHT, v2=group.v2
                ):
                    try:
                        self._tree.write(group.path / name, text)
                        now = " ".join(self._tree.read(group.path / name).split())
                    except OSError as error:
                        if must:
                            refused.append(f"{name}: {error.strerror or error}")
                        continue
                    told.append(f"{name} {now}")
                    if must:
                        held.add(controller)
        if {"cpu", "memory"} & held:
            self.by = "cgroup2" if any(g.v2 for g in self._groups) else "cgroup1"
            where = ", ".join(sorted({str(g.path) for g in self._groups}))
            parts = [f"{where}: {'; '.join(told)}"]
            parts += [f"no bound of {c}" for c in ("cpu", "memory") if c not in held]
        else:
            self.by, parts = "pacing", ["no cgroup can be used"]
        self.detail = "; ".join([*parts, *dict.fromkeys(refused)])

    def urge(self, urgent: bool) -> None:  # noqa: FBT001 the one thing it says
        """More CPU weight while only the event path works, or an ordinary one again."""
        if urgent != self._urgent:
            self._urgent = urgent
            self.change(self._budget)

    def leave(self) -> None:
        """Move back and remove the group; what cannot be removed stays empty and is reused."""
        for group in self._groups:
            try:
                self._tree.write(group.parent / "cgroup.procs", str(self._pid))
                self._tree.rmdir(group.path)
            except OSError as error:
                _log.warning("%s is left behind: %s", group.path, error)
                continue
            group.controllers.clear()
        self._groups = [g for g in self._groups if g.controllers]
        self._remember()

    def memory(self) -> tuple[int, int] | None:
        """(bytes that cannot be given back by the kernel, bound); None without such a bound."""
        for group in self._groups:
            if "memory" not in group.controllers:
                continue
            key, bound = ("anon", "memory.max") if group.v2 else ("rss", "memory.limit_in_bytes")
            try:
                rows = self._tree.read(group.path / "memory.stat").splitlines()
                used = {k: int(v) for k, _, v in (row.partition(" ") for row in rows) if k == key}
                return used[key], int(self._tree.read(group.path / bound))
            except (OSError, ValueError, KeyError) as error:
                _log.debug("%s: %s", group.path, error)
        return None

    def throttled_s(self) -> float:
        """Seconds in which the CPU bound held the agent back, since the group was made."""
        for group in self._groups:
            if "cpu" not in group.controllers:
                continue
            key, unit = ("throttled_usec", 1e6) if group.v2 else ("throttled_time", 1e9)
            try:
                rows = self._tree.read(group.path / "cpu.stat").splitlines()
                return next(int(r.split()[1]) / unit for r in rows if r.startswith(key + " "))
            except (OSError, ValueError, StopIteration) as error:
                _log.debug("%s: %s", group.path, error)
        return 0.0

    # -- finding a place -------------------------------------------------------------------------

    def _enter(self, reasons: list[str]) -> None:
        mounts = _mounts(self._tree.read(Path("/proc/self/mountinfo")))
        own = _own_paths(self._tree.read(Path("/proc/self/cgroup")))
        if mounts.v2 is not None and "" in own:
            here = mounts.v2.below(own[""])
            given = self._tree.read(here / "cgroup.controllers").split()
            if {"cpu", "memory"} & set(given):
                self._enter_v2(here, [c for c in V2_WANTED if c in given], reasons)
                return
        for controller in V1_WANTED:
            if controller in mounts.v1 and controller in own:
                self._enter_v1(controller, mounts.v1[controller].below(own[controller]), reasons)
        if not mounts.v1 and mounts.v2 is None:
            reasons.append("no cgroup hierarchy is mounted")
        elif not self._groups and not reasons:
            reasons.append("the hierarchies here have no cpu or memory controller")

    def _handed(self, root: Path) -> list[str]:
        return self._tree.read(root / "cgroup.subtree_control").split()

    def _enter_v1(self, controller: str, here: Path, reasons: list[str]) -> None:
        parent = here.parent if here.name == self.name else here
        group = _Group(parent / self.name, parent, v2=False, controllers=[controller])
        if any(g.path == group.path for g in self._groups):
            next(g for g in self._groups if g.path == group.path).controllers.append(controller)
            return
        try:
            self._tree.mkdir(group.path)
            self._tree.write(group.path / "cgroup.procs", str(self._pid))
        except OSError as error:
            reasons.append(f"{controller}: {error.strerror or error}")
            self._drop(group)
            return
        self._groups.append(group)

    def _enter_v2(self, here: Path, wanted: list[str], reasons: list[str]) -> None:
        parent = here.parent if here.name == self.name else here
        if parent.name.endswith((".service", ".scope", ".slice")) and not _delegated(parent):
            reasons.append(
                f"{parent.name} belongs to systemd and is not delegated: set Delegate=yes in it"
            )
            return
        group = _Group(parent / self.name, parent, v2=True)
        try:
            self._tree.mkdir(group.path)
            self._tree.write(group.path / "cgroup.procs", str(self._pid))
        except OSError as error:
            reasons.append(f"{group.path}: {error.strerror or error}")
            self._drop(group)
            return
        self._take_launcher_along(group)
        for controller in wanted:
            try:
                if controller not in self._handed(parent):
                    self._tree.write(parent / "cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                # Busy: other processes live in the parent group, and they are not ours to move.
                reasons.append(f"{controller} is not handed down: {error.strerror or error}")
                continue
            group.controllers.append(controller)
        if group.controllers:
            self._groups.append(group)
            return
        try:
            self._tree.write(parent / "cgroup.procs", str(self._pid))
        except OSError as error:
            reasons.append(f"cannot move back to {parent}: {error.strerror or error}")
        self._drop(group)

    def _take_launcher_along(self, group: _Group) -> None:
        """Only where it is the last one that keeps the parent group from handing down."""
        try:
            others = self._tree.read(group.parent / "cgroup.procs").split()
            if self._launcher and others == [str(self._launcher)]:
                self._tree.write(group.path / "cgroup.procs", others[0])
        except OSError as error:
            _log.debug("%s: %s", group.parent, error)

    def _drop(self, group: _Group) -> None:
        try:
            self._tree.rmdir(group.path)
        except OSError as error:
            _log.debug("%s: %s", group.path, error)

    def _remember(self) -> None:
        left = _Left(groups=[str(g.path) for g in self._groups])
        try:
            write_atomic(self._file, msgspec.json.encode(left))
        except OSError as error:
            _log.warning("%s: %s", self._file, error)


def remove_left(folder: Path, *, tree: Tree | None = None) -> list[str]:
    """Remove the groups that an agent of `folder` left; those with processes stay.

    Returns:
        Paths that were removed.
    """
    real: Tree = tree or LiveTree()
    try:
        left = msgspec.json.decode((folder / "cgroup.json").read_bytes(), type=_Left)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        _log.debug("no list of groups: %s", error)
        return []
    removed: list[str] = []
    for name in left.groups:
        path = Path(name)
        if not path.name.startswith("hauberk-agent-"):
            continue
        try:
            real.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.warning("%s is left behind: %s", path, error)
            continue
        removed.append(name)
    return removed


def cap_pct(budget: Budget) -> float:
    """The whole agent's bound in % of one core: event grant + one background thread."""
    return budget.event_pct + ONE_CORE_PCT


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted hierarchy; `root` is which of its groups the mount shows."""

    place: Path
    root: str

    def below(self, path: str) -> Path:
        """Where the group `path` is; the mount itself when it lies outside of what is shown."""
        root = self.root.rstrip("/")
        inner = path.removeprefix(root) if path == root or path.startswith(root + "/") else ""
        return self.place if ".." in inner.split("/") else self.place / inner.strip("/")


@dataclass(frozen=True, slots=True)
class _Mounts:
    v1: dict[str, _Mount]
    v2: _Mount | None


def _mounts(text: str) -> _Mounts:
    v1: dict[str, _Mount] = {}
    v2: _Mount | None = None
    for row in text.splitlines():
        before, _, after = row.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        mount = _Mount(Path(fields[4].replace("\\040", " ")), fields[3])
        if kind[0] == "cgroup2" and v2 is None:
            v2 = mount
        elif kind[0] == "cgroup":
            for option in kind[2].split(","):
                if option in V1_WANTED:
                    v1.setdefault(option, mount)
    return _Mounts(v1, v2)


def _own_paths(text: str) -> dict[str, str]:
    """Path by controller, "" for v2."""
    found: dict[str, str] = {}
    for row in text.splitlines():
        _, controllers, path = row.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _delegated(path: Path) -> bool:
    for name in ("trusted.delegate", "user.delegate"):
        try:
            if os.getxattr(path, name) == b"1":
                return True
        except OSError as error:
            _log.debug("%s: %s: %s", path, name, error)
    return False


def _bounds(
    controller: str, budget: Budget, weight: int, *, v2: bool
) -> list[tuple[str, str, bool]]:
    """(file, text, whether the bound counts on it) for one controller."""
    quota = max(int(cap_pct(budget) / 100 * PERIOD_US), 1000)
    memory = max(budget.memory_bytes, LEAST_MEMORY)
    high = int(memory * HIGH_SHARE)
    if v2:
        return {
            "cpu": [("cpu.max", f"{quota} {PERIOD_US}", True), ("cpu.weight", str(weight), False)],
            "memory": [
                ("memory.high", str(high), False),
                ("memory.max", str(memory), True),
            ],
            "io": [("io.weight", f"default {IO_WEIGHT}", False)],
        }[controller]
    return {
        "cpu": [
            ("cpu.cfs_period_us", str(PERIOD_US), False),
            ("cpu.cfs_quota_us", str(quota), True),
            ("cpu.shares", str(int(weight * SHARES_PER_WEIGHT)), False),
        ],
        "memory": [
            ("memory.soft_limit_in_bytes", str(high), False),
            ("memory.limit_in_bytes", str(memory), True),
        ],
        "blkio": [
            ("blkio.bfq.weight", str(IO_WEIGHT), False),
            ("blkio.weight", str(IO_WEIGHT), False),
        ],
    }[controller]
