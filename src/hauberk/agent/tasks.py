"""Orders from the server: accepted once, in order, in time; the answer is kept until it is told.

The journal is on disk before a task starts, so that a crash never runs a task twice.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import Literal

import msgspec

from hauberk.agent.signed import claimed_id, open_signed
from hauberk.errors import BadInput, Refused
from hauberk.link.client.files import write_atomic
from hauberk.link.client.identity import Ids
from hauberk.link.wire import UNDECODABLE
from hauberk.ports import Clock
from hauberk.schema.link import Task, TaskResult

MAX_ENTRIES = 256
Outcome = Literal["done", "refused", "failed"]
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


class Entry(msgspec.Struct, kw_only=True):
    """One task ever seen: what it was, when first, and its answer."""

    id: str
    sequence: int
    digest: str
    boot: str
    first_mono_ns: int
    started: bool = False
    result: TaskResult | None = None
    told: bool = False


class Journal(msgspec.Struct, kw_only=True):
    """The file: the highest sequence accepted per agent id, and the last tasks."""

    agent: str = ""
    highest: int = 0
    entries: list[Entry] = []


class TaskGate:
    """Decides about tasks and remembers them. Every method may be called from any thread."""

    def __init__(self, path: Path, ids: Ids, *, boot: str, clock: Clock) -> None:
        """Read the journal at `path`; tasks that a crash interrupted become failed.

        Raises:
            BadInput: the journal is damaged.
        """
        self._path, self._ids, self._boot, self._clock = path, ids, boot, clock
        self._lock = threading.Lock()
        self._journal = self._read()
        interrupted = [e for e in self._journal.entries if e.started and e.result is None]
        for entry in interrupted:
            self._answer(entry, "failed", "the agent restarted while it ran; send it anew")
        if interrupted:
            self._try_store()

    def use(self, ids: Ids) -> None:
        """Go on under a renewed identity."""
        with self._lock:
            self._ids = ids
            if self._journal.agent != ids.agent:
                self._journal = Journal(agent=ids.agent)
                self._store()

    def judge(self, raw: bytes) -> Task | None:
        """Check one signed task.

        Returns:
            The task to run now; None when it is refused or already answered (the answer is in
            `untold`), still running, or not valid yet (the server sends it again).

        Raises:
            OSError: the journal cannot be written, so nothing runs; the server sends it again.
        """
        with self._lock:
            former = msgspec.json.encode(self._journal)
            try:
                return self._judge(raw)
            except OSError:
                self._journal = msgspec.json.decode(former, type=Journal)
                raise

    def _judge(self, raw: bytes) -> Task | None:
        try:
            task = open_signed(raw, "task", Task, self._ids)
        except Refused as error:
            self._refuse_foreign(raw, str(error))
            return None
        entry = self._known(task, raw)
        if entry is None or entry.started or entry.result is not None:
            return None
        reason = self._untimely(task, entry)
        if reason:
            self._answer(entry, "refused", reason)
        elif self._clock.wall_ns() < task.not_before_ns:
            self._store()
            return None
        else:
            entry.started = True
            self._journal.highest = max(self._journal.highest, task.sequence)
        self._store()
        return task if entry.started and entry.result is None else None

    def expired(self, task: Task) -> bool:
        """Whether it must not run any more: answered meanwhile, or out of time (then refused)."""
        with self._lock:
            entry = self._find(task.id)
            if entry is None or entry.result is not None:
                return True
            reason = self._untimely(task, entry)
            if reason:
                self._answer(entry, "refused", reason)
                self._try_store()
            return bool(reason)

    def finish(self, task_id: str, outcome: Outcome, message: str) -> None:
        """Keep the answer until it is told."""
        with self._lock:
            entry = self._find(task_id)
            if entry is not None and entry.result is None:
                self._answer(entry, outcome, message)
                self._try_store()

    def state(self, task_id: str) -> Literal["unknown", "open", "answered"]:
        """How far a task is."""
        with self._lock:
            entry = self._find(task_id)
            if entry is None:
                return "unknown"
            return "open" if entry.result is None else "answered"

    def untold(self) -> list[TaskResult]:
        """Answers that the server does not have yet."""
        with self._lock:
            return [e.result for e in self._journal.entries if e.result and not e.told]

    def told(self, task_id: str) -> None:
        """The server has the answer."""
        with self._lock:
            entry = self._find(task_id)
            if entry is not None:
                entry.told = True
                self._try_store()

    # -- inside the lock -------------------------------------------------------------------------

    def _known(self, task: Task, raw: bytes) -> Entry | None:
        digest = hashlib.sha256(raw).hexdigest()
        entry = self._find(task.id)
        if entry is not None and entry.sequence == 0:
            # A forged document had claimed this id: it must not shadow the genuine one.
            self._journal.entries.remove(entry)
            entry = None
        if entry is not None:
            if entry.digest != digest:
                _log.warning("task %s refused: other bytes under a known id", task.id)
                return None
            if entry.result is not None and entry.told:
                # The server asks again, so it lost the answer.
                entry.told = False
                self._store()
            return entry
        entry = Entry(
            id=task.id,
            sequence=task.sequence,
            digest=digest,
            boot=self._boot,
            first_mono_ns=self._clock.mono_ns(),
        )
        self._add(entry)
        if task.sequence <= self._journal.highest:
            self._answer(
                entry,
                "refused",
                f"replayed: sequence {task.sequence} is not above {self._journal.highest}",
            )
            self._store()
        return entry

    def _untimely(self, task: Task, entry: Entry) -> str:
        if self._clock.wall_ns() > task.not_after_ns:
            return "expired by the wall clock"
        if entry.boot != self._boot:
            return "first seen before this boot: its age is unknown"
        if self._clock.mono_ns() - entry.first_mono_ns > task.ttl_s * _NS:
            return "expired by the monotonic clock"
        return ""

    def _refuse_foreign(self, raw: bytes, reason: str) -> None:
        task_id = claimed_id(raw)
        _log.warning("task %s refused: %s", task_id or "without id", reason)
        if not task_id or self._find(task_id) is not None:
            return
        entry = Entry(
            id=task_id,
            sequence=0,
            digest=hashlib.sha256(raw).hexdigest(),
            boot=self._boot,
            first_mono_ns=self._clock.mono_ns(),
        )
        self._add(entry)
        self._answer(entry, "refused", reason)
        self._store()

    def _answer(self, entry: Entry, outcome: Outcome, message: str) -> None:
        _log.info("task %s: %s %s", entry.id, outcome, message)
        entry.result = TaskResult(
            task=entry.id, outcome=outcome, message=message, ended_ns=self._clock.wall_ns()
        )

    def _add(self, entry: Entry) -> None:
        entries = self._journal.entries
        entries.append(entry)
        for old in entries[: max(0, len(entries) - MAX_ENTRIES)]:
            if old.result is not None:
                entries.remove(old)

    def _find(self, task_id: str) -> Entry | None:
        return next((e for e in self._journal.entries if e.id == task_id), None)

    def _store(self) -> None:
        write_atomic(self._path, msgspec.json.encode(self._journal))

    def _try_store(self) -> None:
        """For what is true already: without room it stays in memory and goes along next time."""
        try:
            self._store()
        except OSError as error:
            _log.error("%s: %s", self._path, error)

    def _read(self) -> Journal:
        if not self._path.exists():
            return Journal(agent=self._ids.agent)
        try:
            journal = msgspec.json.decode(self._path.read_bytes(), type=Journal)
        except UNDECODABLE as error:
            # Without it replays could pass: stop rather than guess.
            raise BadInput(
                f"task journal is damaged ({error}); enrol anew", source=str(self._path)
            ) from error
        return journal if journal.agent == self._ids.agent else Journal(agent=self._ids.agent)
