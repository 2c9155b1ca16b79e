"""The agent's own installed files, against the list that came with them.

Every file is looked at (size, inode, change time) once a minute, and hashed when that differs, and
in any case once an hour, a few at a time. A bundle brings `manifest.json`; an installation by pip
has RECORD. Without either nothing can be checked, and that is said.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from hauberk.agent import slots_manifest
from hauberk.errors import BadInput
from hauberk.ports import Clock
from hauberk.schema.link import Alarm

VARIABLE = "HAUBERK_MANIFEST"
EVERY_S = 60.0
WHOLE_S = 3600.0
MOST_ALARMS = 50
CHUNK = 256 * 1024
_NS = 1_000_000_000
_Look = tuple[int, int, int, int]
_log = logging.getLogger(__name__)


class Installed(msgspec.Struct, frozen=True):
    """What was installed: SHA-256 by path ("->TARGET" for a link); nothing else lies in `root`."""

    files: dict[Path, str]
    root: Path | None = None


def installed_files(env: Mapping[str, str]) -> Installed:
    """What was installed, by the first list that is there.

    HAUBERK_MANIFEST (a file), then the package's `manifest.json` in one of the three folders above
    the interpreter, then the RECORD of the installed distribution.

    Raises:
        BadInput: the list that is there is damaged.
    """
    named = env.get(VARIABLE, "")
    if named:
        return read_manifest(Path(named).parent)
    for folder in list(Path(sys.executable).parents)[:3]:
        if (folder / slots_manifest.NAME).is_file():
            return read_manifest(folder)
    return Installed(read_record())


def read_manifest(folder: Path) -> Installed:
    """The files of an unpacked package. Raises BadInput."""
    manifest = slots_manifest.read(folder)
    files: dict[Path, str] = {}
    for entry in manifest.files:
        if entry.path.startswith("/") or ".." in entry.path.split("/"):
            raise BadInput(f"{entry.path!r} leaves its folder", source=str(folder))
        files[folder / entry.path] = f"->{entry.link}" if entry.link else entry.sha256
    return Installed(files, folder)


def read_record(distribution: str = "hauberk") -> dict[Path, str]:
    """Hashed files of an installed distribution; empty when it has none (an editable one)."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[Path, str] = {}
    for file in files:
        if file.hash is None or file.hash.mode != "sha256" or ".dist-info" in str(file):
            continue
        try:
            raw = base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4))
        except binascii.Error as error:
            _log.warning("RECORD: %s: %s", file, error)
            continue
        found[Path(str(file.locate()))] = raw.hex()
    return found


class Integrity:
    """Checks little by little. `step` from one thread, `alarms` and `unchecked` from any."""

    def __init__(
        self,
        installed: Installed,
        clock: Clock,
        *,
        unchecked: str = "",
        again: Callable[[], dict[Path, str]] | None = None,
    ) -> None:
        """Nothing is read before `step`.

        Args:
            installed: what must be there.
            clock: time.
            unchecked: why there is no list.
            again: reads the list anew, where another program may install over the running one.
        """
        self._again, self._unsettled = again, False
        self.notice = ""
        files = installed.files
        self._files, self._root = dict(files), installed.root
        self._order = list(self._files)
        self._clock = clock
        self._looks: dict[Path, _Look] = {}
        self._next = 0
        self._due_ns = clock.mono_ns()
        self._alarms: dict[Path, Alarm] = {}
        self.unchecked = unchecked or ("" if files else "the installation has no list of its files")

    def due(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._files) and self._clock.mono_ns() >= self._due_ns

    def step(self) -> int:
        """Look at all files and hash the few that are due. Returns how many were hashed."""
        self._due_ns = self._clock.mono_ns() + int(EVERY_S * _NS)
        if self._again is not None and self._installed_anew(self._again):
            return 0
        todo: dict[Path, None] = {}
        for path in self._order:
            look = _look(path)
            if look is None:
                self.accuse(path, "it is gone or cannot be read")
                self._looks.pop(path, None)
            elif self._looks.get(path, look) != look or path in self._alarms:
                todo[path] = None
        share = -(-len(self._order) * int(EVERY_S) // int(WHOLE_S))
        for number in range(self._next, self._next + share):
            todo[self._order[number % len(self._order)]] = None
        whole = self._next + share >= len(self._order)
        self._next = (self._next + share) % len(self._order)
        if whole:
            self._find_strangers()
        for path in todo:
            self._check(path)
        # Baselines only of files that were looked at; the hour's round hashes each anyway.
        for path in self._order:
            if path not in self._looks and path not in self._alarms:
                look = _look(path)
                if look is not None:
                    self._looks[path] = look
        return len(todo)

    def alarms(self) -> list[Alarm]:
        """Changed files; the first fifty by name, and how many more there are in the last."""
        found = sorted(self._alarms.copy().values(), key=lambda a: a.what)
        if len(found) <= MOST_ALARMS:
            return found
        more = len(found) - MOST_ALARMS
        first = min(a.since_ns for a in found)
        rest = Alarm(
            kind="file_changed", what="more files", since_ns=first, detail=f"{more} more files"
        )
        return [*found[:MOST_ALARMS], rest]

    def accuse(self, path: Path, detail: str) -> None:
        """Open an alarm about a file; one that is open stays as it is."""
        if path in self._alarms:
            return
        _log.error("own file %s: %s", path, detail)
        self._alarms[path] = Alarm(
            kind="file_changed", what=str(path), since_ns=self._clock.wall_ns(), detail=detail
        )

    def _installed_anew(self, again: Callable[[], dict[Path, str]]) -> bool:
        """An upgrade by pip under the running agent is told, but it is no tampering.

        True while files and list change together: one look later they must fit each other.
        """
        if not self._alarms and all(_look(p) == look for p, look in self._looks.items()):
            return False
        fresh = again()
        if fresh == self._files:
            return False
        if not fresh or not all(_fits(path, digest) for path, digest in fresh.items()):
            held, self._unsettled = not self._unsettled, True
            return held
        self._unsettled = False
        self._files, self._order, self._next = dict(fresh), list(fresh), 0
        self._looks.clear()
        self._alarms.clear()
        self.notice = "the program was installed anew while it runs: restart the agent"
        _log.warning("%s", self.notice)
        return True

    def _find_strangers(self) -> None:
        """Files that nobody installed: Python would import some of them."""
        if self._root is None:
            return
        for path in [p for p in self._alarms if p not in self._files and not p.exists()]:
            del self._alarms[path]
        for top, folders, names in os.walk(self._root):
            if "__pycache__" in folders:
                folders.remove("__pycache__")
            for name in names:
                path = Path(top, name)
                if path not in self._files and name != slots_manifest.NAME:
                    self.accuse(path, "it was not installed")

    def _check(self, path: Path) -> None:
        look = _look(path)
        try:
            digest = _digest(path)
        except OSError as error:
            self.accuse(path, f"it cannot be read: {error.strerror or error}")
            return
        if digest != self._files[path]:
            self.accuse(path, f"it is {digest}, installed was {self._files[path]}")
            return
        if look is not None:
            self._looks[path] = look
        if self._alarms.pop(path, None) is not None:
            _log.info("%s is as installed again", path)


def open_integrity(env: Mapping[str, str], clock: Clock) -> Integrity:
    """The check of this installation; a damaged list is an alarm of its own."""
    try:
        installed = installed_files(env)
        return Integrity(installed, clock, again=read_record if installed.root is None else None)
    except BadInput as error:
        _log.error("own files cannot be checked: %s", error)
        made = Integrity(Installed({}), clock, unchecked=str(error))
        made.accuse(Path(error.source or slots_manifest.NAME), str(error))
        return made


def _look(path: Path) -> _Look | None:
    try:
        stat = path.lstat()
    except OSError as error:
        _log.debug("%s: %s", path, error)
        return None
    return stat.st_size, stat.st_ino, stat.st_dev, stat.st_ctime_ns


def _fits(path: Path, digest: str) -> bool:
    try:
        return _digest(path) == digest
    except OSError as error:
        _log.debug("%s: %s", path, error)
        return False


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"->{path.readlink()}"
    made = hashlib.sha256()
    with path.open("rb") as data:
        while part := data.read(CHUNK):
            made.update(part)
    return made.hexdigest()
