"""Brings a wanted package into the spare slot, piece by piece, and never touches the running one.

`turn` does one bounded piece: a chunk of the download, or check, unpacking and self-test. What is
wrong with the package itself is refused until another desired state asks again; what may pass (no
network, no room) is tried again after doubling pauses.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hauberk import signing
from hauberk.agent.slots import Slot, SlotInfo, Slots
from hauberk.agent.updater_unpack import unpack
from hauberk.errors import BadInput, Busy, Refused, StorageFull, Temporary
from hauberk.link.client.files import private_folder
from hauberk.link.wire import UNDECODABLE
from hauberk.ports import Clock
from hauberk.schema.link import Package, PackageState, Signed, SlotState

CHUNK = 1024 * 1024
MAX_PACKAGE = 256 * 1024 * 1024
SPARE_BYTES = 32 * 1024 * 1024
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 6 * 3600.0
MAX_DAMAGED = 3
IDLE_S = 30.0
_NS = 1_000_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)


class Fetch(Protocol):
    """Reads a part of a package from the server."""

    def __call__(self, sha256: str, offset: int, limit: int) -> bytes:
        """1 to `limit` bytes at `offset`. Raises Temporary or Refused."""


class Wanted(msgspec.Struct, frozen=True):
    """What the desired state asks for."""

    document: bytes
    release_key: bytes
    desired: int


def open_package(document: bytes, release_key: bytes) -> Package:
    """Decode and check a signed package.

    Raises:
        Refused: damaged, or not signed by this release key.
    """
    if len(release_key) != 32:
        raise Refused("no release key is known: this server cannot upgrade its agents yet")
    try:
        signed = msgspec.msgpack.decode(document, type=Signed)
        package = msgspec.msgpack.decode(signed.body, type=Package)
    except UNDECODABLE as error:
        raise Refused(f"this package cannot be decoded: {error}") from error
    key = Ed25519PublicKey.from_public_bytes(release_key)
    signing.verify(key, "pack", signed.body, signed.signature)
    return package


class Updater:
    """One per agent. `want` and `beaten` may be called from any thread, the rest from one."""

    def __init__(
        self,
        slots: Slots,
        folder: Path,
        *,
        running: Slot,
        arch: str,
        fetch: Fetch,
        selftest: Callable[[Path], list[str]],
        ready: Callable[[], None],
        clock: Clock,
        open_now: Callable[[], bool] = lambda: True,
        steady_s: float = 60.0,
    ) -> None:
        """Nothing is fetched before `turn`.

        Args:
            slots: the installation.
            folder: where the download lies; its own.
            running: the slot of this process.
            arch: this machine's, as the kernel says it.
            fetch: reads the package.
            selftest: what is wrong with an unpacked package, [] when nothing.
            ready: called when the new slot is on trial: this process should end.
            clock: monotonic time.
            open_now: whether a maintenance window is open.
            steady_s: seconds that a slot on trial must stay up.
        """
        self._slots, self._folder, self._running, self._arch = slots, folder, running, arch
        self._fetch, self._selftest, self._ready, self._clock = fetch, selftest, ready, clock
        self._open_now, self._steady_ns = open_now, int(steady_s * _NS)
        self._lock = threading.Lock()
        self._wanted: Wanted | None = None
        self._started_ns = clock.mono_ns()
        self._beaten = threading.Event()
        self._not_before_ns = 0
        if slots.state.failures:
            # Pauses are not kept as times: a restart waits the whole pause again.
            self._not_before_ns = self._started_ns + _pause_ns(slots.state.failures)
        self._state = slots.package_state(running)

    @property
    def state(self) -> PackageState:
        """What the server is told."""
        return self._state

    def want(self, document: bytes, release_key: bytes, desired: int) -> None:
        """The package of the desired state, version `desired`; b"" keeps what runs."""
        with self._lock:
            self._wanted = Wanted(document, release_key, desired) if document else None

    def beaten(self) -> None:
        """The server accepted a beat of this process."""
        self._beaten.set()

    def turn(self) -> float:
        """Do one piece of what is due. Returns seconds until the next, 0 for at once."""
        try:
            return self._turn()
        finally:
            self._state = self._tell()

    def _turn(self) -> float:
        now = self._clock.mono_ns()
        if self._slots.state.trial is not None:
            return self._prove(now)
        with self._lock:
            wanted = self._wanted
        if wanted is None:
            self._forget()
            return IDLE_S
        package = self._judge(wanted)
        if package is None:
            return IDLE_S
        failures, damaged = self._counts(package.sha256, wanted.desired)
        if failures and now < self._not_before_ns:
            return min((self._not_before_ns - now) / _NS, IDLE_S)
        if not self._open_now():
            return IDLE_S
        state = self._slots.state
        told = (state.outcome, state.wanted, state.desired)
        if told != ("fetching", package.sha256, wanted.desired):
            self._note("fetching", package.sha256, wanted.desired, "", (failures, damaged))
        return self._work(package, wanted.desired)

    def _judge(self, wanted: Wanted) -> Package | None:
        """The package, when there is something to do about it."""
        try:
            package = open_package(wanted.document, wanted.release_key)
        except Refused as error:
            digest = hashlib.sha256(wanted.document).hexdigest()
            if not self._settled(digest, wanted.desired):
                self._refuse(digest, wanted.desired, str(error))
            return None
        if self._runs(package, wanted.desired) or self._settled(package.sha256, wanted.desired):
            return None
        if why := self._unfit(package):
            self._refuse(package.sha256, wanted.desired, why)
            return None
        return package

    # -- on trial --------------------------------------------------------------------------------

    def _prove(self, now: int) -> float:
        if self._slots.state.trial != self._running or not self._beaten.is_set():
            return 1.0
        left = self._started_ns + self._steady_ns - now
        if left > 0:
            return min(left / _NS, 1.0)
        self._slots.reload()
        if self._slots.state.trial == self._running:
            self._slots.confirm()
            self._drop_download()
            _log.info("update: slot %s is confirmed", self._running)
        return IDLE_S

    # -- judging ---------------------------------------------------------------------------------

    def _settled(self, sha256: str, desired: int) -> bool:
        """Whether this demand was refused or rolled back: only another demand tries again."""
        state = self._slots.state
        same = (state.wanted, state.desired) == (sha256, desired)
        final = state.outcome == "rolled_back" or (state.outcome == "failed" and not state.failures)
        return same and final

    def _runs(self, package: Package, desired: int) -> bool:
        have = self._state
        if (have.version, have.sequence) == (package.version, package.sequence) and (
            package.arch == self._arch and have.sha256 in ("", package.sha256)
        ):
            if not have.sha256:
                info = SlotInfo(
                    version=package.version, sequence=package.sequence, sha256=package.sha256
                )
                self._slots.adopt(self._running, info)
            state = self._slots.state
            if (state.outcome, state.wanted) != ("current", package.sha256):
                self._note("current", package.sha256, desired, "")
            return True
        return False

    def _unfit(self, package: Package) -> str:
        """Why this machine does not take it, without looking at a byte of it."""
        if package.arch != self._arch:
            return f"the package is for {package.arch}, this machine is {self._arch}"
        highest = self._slots.state.highest
        if package.sequence < highest and not package.downgrade:
            return (
                f"sequence {package.sequence} is lower than {highest}, which was confirmed here; "
                "a downgrade must be ordered as one"
            )
        if not 0 < package.size <= MAX_PACKAGE:
            return f"{package.size} bytes: not between 1 and {MAX_PACKAGE}"
        if len(package.sha256) != 64 or not package.sha256.isalnum():
            return "its SHA-256 is no SHA-256"
        return ""

    # -- working ---------------------------------------------------------------------------------

    def _work(self, package: Package, desired: int) -> float:
        try:
            part = self._folder / f"{package.sha256}.part"
            more = self._download(package, part)
            failures, damaged = self._counts(package.sha256, desired)
            if failures and more:  # it goes on: the next pause is a short one again
                self._note("fetching", package.sha256, desired, "", (0, damaged))
            if more:
                return 0.0
            # Counted before: one that dies of it must not die of it again at every start.
            self._note("fetching", package.sha256, desired, "", (failures + 1, damaged))
            try:
                with self._slots.exclusive(wait=False):
                    self._install(package, part, desired)
            finally:
                if self._slots.state.trial is None:
                    self._note("fetching", package.sha256, desired, "", (failures, damaged))
        except Refused as error:
            self._refuse(package.sha256, desired, str(error))
        except BadInput as error:
            self._damaged(package.sha256, desired, str(error))
        except Temporary as error:
            self._later(package.sha256, desired, str(error), error.retry_after)
        except OSError as error:
            if error.errno in _FULL:
                self._drop_download()
            self._later(package.sha256, desired, f"{error}", 0.0)
        else:
            self._ready()
        self._slots.sweep()
        return IDLE_S

    def _download(self, package: Package, part: Path) -> bool:
        """Fetch the next piece; whether there is more to fetch."""
        private_folder(self._folder)
        for other in self._folder.iterdir():
            if other != part:
                other.unlink()
        have = part.stat().st_size if part.exists() else 0
        if have == 0:
            self._room(package.size)
        if have < package.size:
            try:
                data = self._fetch(package.sha256, have, min(CHUNK, package.size - have))
            except Refused as error:
                raise Busy(f"the server does not give the package: {error}") from error
            if not 0 < len(data) <= package.size - have:
                raise BadInput(f"{len(data)} bytes came at offset {have}", source="package")
            with part.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            have += len(data)
        if have > package.size:
            part.unlink()
            raise BadInput("the download is longer than the package", source="package")
        return have < package.size

    def _install(self, package: Package, part: Path, desired: int) -> None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != package.sha256:
            raise BadInput(
                f"SHA-256 {digest[:16]}... came instead of {package.sha256[:16]}...",
                source="package",
            )
        if self._slots.state.trial is not None:
            raise Busy("another package was installed meanwhile and is on trial")
        slot_folder = self._slots.clear_spare()
        fresh = slot_folder.with_name(f".{slot_folder.name}.new")
        manifest = unpack(part, fresh, room=self._room)
        told = (manifest.version, manifest.sequence, manifest.arch)
        if told != (package.version, package.sequence, package.arch):
            raise Refused(f"its manifest says {told}, its signature says another")
        if wrong := self._selftest(fresh):
            raise Refused(f"self-test: {'; '.join(wrong)}")
        info = SlotInfo(version=package.version, sequence=package.sequence, sha256=package.sha256)
        self._slots.fill_spare(fresh)
        self._slots.begin(info, wanted=package.sha256, desired=desired)
        self._drop_download()
        _log.info("update: version %s is on trial", package.version)

    def _room(self, size: int) -> None:
        for folder in (self._folder, self._slots.root):
            free = shutil.disk_usage(folder).free
            if free < size + SPARE_BYTES:
                raise StorageFull(
                    f"{folder}: {free} bytes are free, {size + SPARE_BYTES} are needed"
                )

    # -- what came of it -------------------------------------------------------------------------

    def _refuse(self, sha256: str, desired: int, why: str) -> None:
        _log.error("update: refused: %s", why)
        self._note("failed", sha256, desired, why)
        self._drop_download()

    def _damaged(self, sha256: str, desired: int, why: str) -> None:
        """Another copy may be whole, but not for ever."""
        self._drop_download()
        damaged = self._counts(sha256, desired)[1] + 1
        if damaged >= MAX_DAMAGED:
            self._refuse(sha256, desired, f"{why} ({MAX_DAMAGED} times)")
        else:
            self._later(sha256, desired, why, 0.0, damaged)

    def _later(
        self, sha256: str, desired: int, why: str, retry_after: float, damaged: int | None = None
    ) -> None:
        failures, before = self._counts(sha256, desired)
        failures += 1
        pause = max(_pause_ns(failures), int(retry_after * _NS))
        self._not_before_ns = self._clock.mono_ns() + pause
        _log.warning("update: %s; next try in %.0f s", why, pause / _NS)
        self._note(
            "failed", sha256, desired, why, (failures, before if damaged is None else damaged)
        )

    def _counts(self, sha256: str, desired: int) -> tuple[int, int]:
        """(failures, damaged copies) of this demand so far."""
        state = self._slots.state
        same = (state.wanted, state.desired) == (sha256, desired)
        return (state.failures, state.damaged) if same else (0, 0)

    def _note(
        self,
        outcome: SlotState,
        sha256: str,
        desired: int,
        why: str,
        counts: tuple[int, int] = (0, 0),
    ) -> None:
        failures, damaged = counts
        try:
            self._slots.note(
                outcome,
                wanted=sha256,
                desired=desired,
                message=why,
                failures=failures,
                damaged=damaged,
            )
        except OSError as error:
            # Told all the same; only a restart would try again sooner than it should.
            _log.error("update: what came of it could not be stored: %s", error)

    def _forget(self) -> None:
        """Nothing is wanted any more."""
        if self._slots.state.outcome == "fetching":
            self._note("current", "", 0, "")
        self._drop_download()

    def _drop_download(self) -> None:
        if self._folder.is_dir():
            for left in self._folder.iterdir():
                left.unlink()

    def _tell(self) -> PackageState:
        return self._slots.package_state(self._running)


def _pause_ns(failures: int) -> int:
    return int(min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE_S) * _NS)
