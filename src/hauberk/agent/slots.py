"""Which of two slots runs: a state machine over a folder, safe against a kill between two steps.

::

    ROOT/slots/{a,b}/      unpacked packages
    ROOT/current           link to the slot that runs, for people and PATH
    ROOT/confirmed         link to the slot that proved itself: the launcher is started from it
    STATE/slots.json       the truth; the links follow it

A new package is `begin`-ed: on trial. The launcher of the *confirmed* slot counts its starts and
goes back by itself (`roll_back`); only `confirm`, called by the slot on trial, ends the trial.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from hauberk.agent import slots_manifest
from hauberk.errors import BadInput, Busy, NotFound
from hauberk.link.client.files import private_folder, sync_folder, write_atomic
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.link import PackageState, SlotState

MAX_TRIES = 3
MAX_MESSAGE = 500
Slot = Literal["a", "b"]
_OTHER: dict[Slot, Slot] = {"a": "b", "b": "a"}
_log = logging.getLogger(__name__)


class SlotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a slot. `sha256` is the package's, "" for one that no update brought."""

    version: str
    sequence: int
    sha256: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`slots.json`.

    `highest`: the highest sequence ever confirmed. `outcome` and `message` are about the package
    `wanted`, as asked for by desired state `desired`; `failures` counts what may be tried again
    since something went well, `damaged` the copies of it that were not what was signed.
    """

    confirmed: Slot = "a"
    trial: Slot | None = None
    tries: int = 0
    highest: int = 0
    slots: dict[Slot, SlotInfo] = {}
    wanted: str = ""
    desired: int = 0
    outcome: SlotState = "current"
    message: str = ""
    failures: int = 0
    damaged: int = 0


class Start(msgspec.Struct, frozen=True):
    """The launcher's decision: which slot to start, and whether it is on trial."""

    slot: Slot
    trial: bool


class Slots:
    """One installation. Every change is durable when its method returns. Not thread-safe."""

    def __init__(self, root: Path, state: Path) -> None:
        """Read `state` (slots.json); a missing or damaged one is made anew from the links.

        Raises:
            NotFound: `root` holds no package.
        """
        self.root, self._path = root, state
        self.state = self._load()

    def place(self, slot: Slot) -> Path:
        """Folder of a slot."""
        return self.root / "slots" / slot

    @property
    def spare(self) -> Slot:
        """The slot that a new package goes into."""
        return _OTHER[self.state.confirmed]

    def reload(self) -> None:
        """Read what another process wrote."""
        self.state = self._load()

    @contextmanager
    def exclusive(self, *, wait: bool) -> Iterator[None]:
        """Hold the spare slot against an update by another process; `state` is read anew.

        Raises:
            Busy: another one is at work and `wait` is false.
        """
        descriptor = os.open(self.root / "slots", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            self.reload()
            yield
        except BlockingIOError as error:
            raise Busy(f"{self.root}: another installation is at work") from error
        finally:
            os.close(descriptor)

    def start(self, ended: str = "") -> Start:
        """What to start now; on trial the start is counted before it happens.

        Args:
            ended: how the start before this one ended, for the reason of a roll-back.
        """
        state = self.state
        trial = state.trial
        if trial is None:
            self._links(state.confirmed)
            return Start(state.confirmed, trial=False)
        if not self._holds(trial):
            self.roll_back(f"slot {trial} is not complete")
        elif state.tries >= MAX_TRIES:
            last = f"; at last: {ended}" if ended else ""
            self.roll_back(f"started {state.tries} times and never confirmed{last}")
        else:
            self._keep(msgspec.structs.replace(state, tries=state.tries + 1))
            self._links(trial)
            return Start(trial, trial=True)
        return Start(self.state.confirmed, trial=False)

    def take_back_start(self) -> None:
        """The start was ended by order: it does not count."""
        if self.state.trial is not None and self.state.tries:
            self._keep(msgspec.structs.replace(self.state, tries=self.state.tries - 1))

    def clear_spare(self) -> Path:
        """Empty the spare slot; its folder, which does not exist now."""
        place = self.place(self.spare)
        # Renamed first: a kill in the middle must not leave half a package under a slot's name.
        self.sweep()
        if place.exists():
            aside = place.with_name(f".{place.name}.old")
            place.rename(aside)
            shutil.rmtree(aside)
        return place

    def sweep(self) -> None:
        """Remove what an interrupted update left: in no slot, so nobody runs it."""
        for name in (".a.old", ".b.old", ".a.new", ".b.new"):
            left = self.root / "slots" / name
            if left.is_dir():
                shutil.rmtree(left)

    def fill_spare(self, unpacked: Path) -> Slot:
        """Move an unpacked, checked package (a folder in `slots/`) into the spare slot."""
        slot = self.spare
        place = self.place(slot)
        if place.exists():
            aside = place.with_name(f".{slot}.old")
            place.rename(aside)
            shutil.rmtree(aside)
        unpacked.rename(place)
        sync_folder(place.parent)
        return slot

    def begin(self, info: SlotInfo, *, wanted: str, desired: int) -> None:
        """Put the spare slot on trial: the next start runs it."""
        slot = self.spare
        self._keep(
            msgspec.structs.replace(
                self.state,
                trial=slot,
                tries=0,
                slots={**self.state.slots, slot: info},
                wanted=wanted,
                desired=desired,
                outcome="trial",
                message="",
                failures=0,
                damaged=0,
            )
        )

    def confirm(self) -> None:
        """The slot on trial proved itself."""
        slot = self.state.trial
        if slot is None:
            return
        info = self.state.slots[slot]
        self._keep(
            msgspec.structs.replace(
                self.state,
                confirmed=slot,
                trial=None,
                tries=0,
                # A meant downgrade starts over: what it went back from is no floor any more.
                highest=info.sequence,
                outcome="current",
                message="",
            )
        )
        self._links(slot)

    def roll_back(self, reason: str) -> None:
        """Back to the confirmed slot; the package is told as rolled back."""
        self._keep(
            msgspec.structs.replace(
                self.state,
                trial=None,
                tries=0,
                outcome="rolled_back",
                message=reason[:MAX_MESSAGE],
            )
        )
        self._links(self.state.confirmed)

    def note(
        self,
        outcome: SlotState,
        *,
        wanted: str,
        desired: int,
        message: str,
        failures: int = 0,
        damaged: int = 0,
    ) -> None:
        """Remember what came of a package, so that a restart does not try it at once again."""
        after = msgspec.structs.replace(
            self._now(),
            outcome=outcome,
            wanted=wanted,
            desired=desired,
            message=message[:MAX_MESSAGE],
            failures=failures,
            damaged=damaged,
        )
        if after != self.state:
            self.state = after  # holds for this process even where it cannot be stored
            self._keep(after)

    def adopt(self, slot: Slot, info: SlotInfo) -> None:
        """What was installed by hand is this package."""
        now = self._now()
        self._keep(msgspec.structs.replace(now, slots={**now.slots, slot: info}))

    def package_state(self, running: Slot) -> PackageState:
        """What the server is told; `running`: the slot of this process."""
        state = self.state
        info = state.slots.get(running) or self._info(running)
        # What is tried again has not failed yet: the server would halt an upgrade for it.
        again = state.outcome == "failed" and state.failures > 0
        return PackageState(
            state="fetching" if again else state.outcome,
            version=info.version,
            sequence=info.sequence,
            sha256=info.sha256,
            slot=running,
            wanted=state.wanted,
            message=state.message,
        )

    # -- inside ----------------------------------------------------------------------------------

    def _holds(self, slot: Slot) -> bool:
        return (self.place(slot) / slots_manifest.NAME).is_file()

    def _info(self, slot: Slot) -> SlotInfo:
        try:
            manifest = slots_manifest.read(self.place(slot))
        except BadInput as error:
            _log.error("slot %s: %s", slot, error)
            return SlotInfo(version="", sequence=0)
        return SlotInfo(version=manifest.version, sequence=manifest.sequence)

    def _load(self) -> State:
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return self._anew("")
        except (OSError, *UNDECODABLE) as error:
            _log.error("%s: %s; made anew from the links", self._path, error)
            return self._anew(f"slots.json was damaged ({error}) and was made anew")
        if not self._holds(state.confirmed) and self._holds(_OTHER[state.confirmed]):
            return self._anew(f"slot {state.confirmed} was gone")
        return state

    def _now(self) -> State:
        """What is stored: an installation by hand may have put a slot on trial meanwhile."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except (OSError, *UNDECODABLE):
            return self.state

    def _anew(self, message: str) -> State:
        linked = self.root / "confirmed"
        name = linked.readlink().name if linked.is_symlink() else ""
        order: list[Slot] = ["b", "a"] if name == "b" else ["a", "b"]
        for slot in order:
            if self._holds(slot):
                info = self._info(slot)
                return State(
                    confirmed=slot, highest=info.sequence, slots={slot: info}, message=message
                )
        raise NotFound(f"{self.root}: no agent package in slots/a or slots/b; install it anew")

    def _keep(self, state: State) -> None:
        private_folder(self._path.parent)
        write_atomic(self._path, msgspec.json.encode(state))
        self.state = state

    def _links(self, current: Slot) -> None:
        for name, slot in (("confirmed", self.state.confirmed), ("current", current)):
            link, text = self.root / name, f"slots/{slot}"
            if link.is_symlink() and str(link.readlink()) == text:
                continue
            aside = self.root / f".{name}.new"
            aside.unlink(missing_ok=True)
            aside.symlink_to(text)
            aside.replace(link)
            sync_folder(self.root)


def locate(prefix: Path) -> tuple[Path, Slot] | None:
    """(root, slot) when the interpreter at `prefix` runs from a slot; None: no package."""
    place = prefix.resolve()
    if place.parent.name != "slots" or not (place / slots_manifest.NAME).is_file():
        return None
    if place.name == "a":
        return place.parent.parent, "a"
    return (place.parent.parent, "b") if place.name == "b" else None
