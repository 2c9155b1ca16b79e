"""The background loop: collects what is due within the grant, reports it, runs tasks."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import tzinfo

import msgspec

from hauberk.agent import windows
from hauberk.agent.budget import Background
from hauberk.agent.integrity import Integrity
from hauberk.agent.ledger import Ledger
from hauberk.agent.pressure import LONGEST_S, Pressure
from hauberk.agent.process import give_back_memory
from hauberk.agent.reporter import Reporter
from hauberk.agent.schedule import Plan
from hauberk.agent.tasks import TaskGate
from hauberk.content import role as role_files
from hauberk.content.role import Role, RoleCases
from hauberk.engines.inventory import join
from hauberk.engines.inventory.ownership import owners
from hauberk.engines.inventory.roles import tags
from hauberk.errors import BadContent
from hauberk.host.collect import run as collect
from hauberk.host.shipped import shipped
from hauberk.ports import Clock, Collector, Host
from hauberk.schema.link import Desired, Task

MAX_OWNERS = 20_000
LONGEST_WAIT_S = 30.0
PRESSED_WAIT_S = 2.0
# Under pressure orders rest three times as long as they work, and first looks half as long.
ORDER_REST, FIRST_REST = 3.0, 0.5
SHORTEST_REST_S, LONGEST_REST_S = 0.1, 2.0
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


class _Stopping(Exception):
    """Ends a collection in the middle when the agent stops."""


class _Superseded(Exception):
    """Ends a paused collection whose subclass an order has collected meanwhile."""


class _Cancelled(Exception):
    """Ends an order that somebody called off; its text says who."""


class BackgroundLoop:
    """One thread; others talk to it by `ask`, `cancel` and `relieve`."""

    def __init__(
        self,
        host: Host,
        collectors: dict[str, Collector],
        plan: Plan,
        grant: Background,
        reporter: Reporter,
        gate: TaskGate,
        ledger: Ledger,
        clock: Clock,
        stop: threading.Event,
        *,
        relation_s: float,
        collected: Callable[[str], None],
        pressure: Pressure | None = None,
        integrity: Integrity | None = None,
        zone: Callable[[], tzinfo] = windows.local_zone,
    ) -> None:
        """Nothing is collected before `turn`.

        Args:
            host: the machine.
            collectors: by subclass.
            plan: when each is due.
            grant: how much CPU they may use.
            reporter: takes what was found.
            gate: knows the orders.
            ledger: counts.
            clock: time.
            stop: ends the loop.
            relation_s: seconds between two joins.
            collected: told after each collection.
            pressure: says when the machine needs all it has.
            integrity: checks the agent's own files along the way.
            zone: local time of the windows.
        """
        self._host, self._collectors, self._plan, self._grant = host, collectors, plan, grant
        self._reporter, self._gate, self._ledger = reporter, gate, ledger
        self._clock, self._stop = clock, stop
        self._relation_ns = int(relation_s * _NS)
        self._collected = collected
        self._pressure, self._integrity, self._zone = pressure, integrity, zone
        self.busy = False
        self._tired_s = 0.0
        self._put_off: set[str] = set()
        self._calls = threading.Lock()
        self._running = ""
        self._cancelled: dict[str, str] = {}
        self._relieve = threading.Event()
        self._asked: queue.SimpleQueue[Task | Desired | None] = queue.SimpleQueue()
        self._related_ns: int | None = None
        self._changed = self._worked = False
        self._owners: dict[str, str] = {}
        self._roles: list[Role] | None = None
        self._runs: dict[str, int] = {}

    @property
    def window_open(self) -> bool:
        """Whether regular work and upgrades are allowed now. From any thread."""
        hours = self._plan.windows
        # Without windows the zone is not worth reading.
        return not hours or windows.open(hours, self._clock.wall_ns(), self._zone())

    def ask(self, what: Task | Desired | None) -> None:
        """Run a task, take a desired state, or (None) look whether there is something to do."""
        self._asked.put(what)

    def cancel(self, task: Task) -> None:
        """Call off the orders that `task` names: at once, or at the next pace of a running one."""
        by = ", ".join(task.args.get("by", [])) or "the server"
        told: list[str] = []
        for name in task.args.get("task", []):
            with self._calls:
                running = self._running == name
                if running:
                    self._cancelled[name] = by
            state = self._gate.state(name)
            if running:
                told.append(f"{name} stops")
            elif state == "open":
                self._gate.finish(name, "failed", f"cancelled by {by}")
                told.append(f"{name} will not start")
            else:
                told.append(f"{name} had ended" if state == "answered" else f"{name} is not known")
        self._gate.finish(task.id, "done" if told else "failed", "; ".join(told) or "names no task")

    def relieve(self) -> None:
        """Give up caches soon."""
        self._relieve.set()
        self.ask(None)

    def run(self) -> None:
        """Until the agent stops."""
        try:
            while not self._stop.is_set():
                self._listen(self.turn())
        except _Stopping:
            _log.debug("background work ended in the middle of a collection")

    def turn(self) -> float:
        """Do one piece of what is due. Returns seconds until the next is; 0 for at once."""
        self._drain()
        self._resend()
        now = self._clock.mono_ns()
        due = self._plan.due(now)
        held_s = self._held_s(due)
        if due and not held_s:
            self._put_off.discard(due[0])
            self._collect(due[0], paced=True)
            self._worked = True
            return 0.0
        wait_s = self._relate_if_due(now)
        if self._worked:
            self._worked = False
            give_back_memory()
        at = self._plan.next_ns()
        if at is not None:
            wait_s = min(wait_s, max(at - now, 0) / _NS)
        wait_s = max(wait_s, held_s)
        return min(max(wait_s, 0.01), LONGEST_WAIT_S)

    def _held_s(self, due: list[str]) -> float:
        """Seconds until due work may be asked for again; 0 when it may begin now."""
        inside = self.window_open
        pressed = self._pressure is not None and self._pressure.look()
        if not due or (inside and not pressed):
            return 0.0
        if inside and (self._plan.never(due[0]) or (self._pressure and self._pressure.least())):
            # What was never looked at is better late than unknown: it goes slowly.
            return 0.0
        for subclass in due:
            if subclass not in self._put_off:
                self._put_off.add(subclass)
                self._ledger.add(f"collect/{subclass}", shed=1)
        return PRESSED_WAIT_S if inside else LONGEST_WAIT_S

    def _chores(self) -> None:
        """What is done between and within collections."""
        if self._relieve.is_set():
            self._relieve.clear()
            self._owners.clear()
            give_back_memory()
        if self._integrity is not None and self._integrity.due():
            mark = time.thread_time()
            with self._ledger.measure("integrity"):
                self._ledger.add("integrity", rows=self._integrity.step())
            self._grant.spend(time.thread_time() - mark)

    def _drain(self) -> None:
        self._chores()
        while not self._asked.empty():
            self._asked_for(self._asked.get())

    def _listen(self, wait_s: float) -> None:
        """Wait, but hear what is asked."""
        self._chores()
        try:
            self._asked_for(self._asked.get(timeout=wait_s))
        except queue.Empty:
            return

    def _asked_for(self, what: Task | Desired | None) -> None:
        if isinstance(what, Desired):
            self._plan.change(what.schedule)
            self._grant.change(what.budget.background_pct)
        elif isinstance(what, Task):
            answered = False
            try:
                self._task(what)
                answered = True
            finally:
                if not answered:
                    self._gate.finish(what.id, "failed", "it did not end; see the agent's log")

    def _resend(self) -> None:
        if self._reporter.resend():
            self._changed = True
            self._related_ns = None

    def _task(self, task: Task) -> None:
        """Orders are not slowed down by the grant, but they are charged to it."""
        if self._gate.expired(task):
            return
        if task.kind == "reload":
            self._roles = None
            self._owners.clear()
            self._reporter.full_next()
            self._gate.finish(task.id, "done", "content is read anew, inventory is sent in full")
            return
        with self._calls:
            self._running = task.id
        wanted = task.args.get("subclasses", [])
        known = self._plan.collect_now(wanted)
        try:
            self._collect_ordered(task, wanted, known)
        except _Cancelled as error:
            self._plan.forget(known)
            self._gate.finish(task.id, "failed", str(error))
        finally:
            with self._calls:
                self._running = ""
                self._cancelled.pop(task.id, None)

    def _collect_ordered(self, task: Task, wanted: list[str], known: list[str]) -> None:
        unknown = sorted(set(wanted) - set(known))
        for subclass in known:
            self._collect(subclass, paced=False)
        self._relate()
        message = f"collected {len(known)} subclasses"
        if unknown:
            message += f"; this agent has no collector for {', '.join(unknown)}"
        self._gate.finish(task.id, "failed" if wanted and not known else "done", message)

    def _check_cancelled(self) -> None:
        with self._calls:
            by = self._cancelled.get(self._running) if self._running else None
        if by is not None:
            raise _Cancelled(f"cancelled by {by}")

    def _rest(self, used_s: float, factor: float) -> None:
        """What must not wait goes on under pressure, but slowly."""
        if self._pressure is None or not self._pressure.look():
            return
        # Gathered: many short sleeps cost more in waking up than they give.
        self._tired_s += factor * used_s
        if self._tired_s >= SHORTEST_REST_S:
            self._stop.wait(min(self._tired_s, LONGEST_REST_S))
            self._tired_s = 0.0

    def _must_wait_s(self, *, first: bool) -> float:
        """Seconds for which a collection in the middle must pause."""
        owed = self._grant.owed_s()
        if owed > 0 or first or self._pressure is None or not self._pressure.look():
            return owed
        return PRESSED_WAIT_S if self._pressure.waited_s() < LONGEST_S else 0.0

    def _collect(self, subclass: str, *, paced: bool) -> None:
        collector = self._collectors[subclass]
        mark = time.thread_time()
        first = self._plan.never(subclass)
        # Counted as run already now: one that crashes must not keep the others from their turn.
        self._plan.ran(subclass, self._clock.mono_ns())
        begun = self._runs[subclass] = self._runs.get(subclass, 0) + 1

        def settle() -> None:
            nonlocal mark
            used = time.thread_time() - mark
            self._grant.spend(used)
            if self._stop.is_set():
                raise _Stopping
            if not paced:
                self._check_cancelled()
                self._rest(used, ORDER_REST)
            elif first:
                self._rest(used, FIRST_REST)
            while paced and (owed := self._must_wait_s(first=first)) > 0:
                # A pause may take minutes: orders and resyncs are heard in it.
                self.busy = False
                self._listen(min(max(owed, 0.01), LONGEST_WAIT_S))
                self._resend()
                if self._stop.is_set():
                    raise _Stopping
                if self._runs[subclass] != begun:
                    raise _Superseded
            self.busy = True
            mark = time.thread_time()

        try:
            settle()
            with self._ledger.measure(f"collect/{subclass}"):
                rows, proof = collect(
                    collector,
                    self._host,
                    epoch=self._reporter.next_epoch(),
                    clock=self._clock,
                    pace=settle,
                )
        except _Superseded:
            return
        finally:
            self.busy = False
        self._ledger.add(f"collect/{subclass}", rows=len(rows))
        self._plan.ran(subclass, self._clock.mono_ns())
        if self._reporter.report(proof, collector.struct, rows):
            self._changed = True
            if subclass == join.PACKAGE:
                self._owners.clear()
        self._grant.spend(time.thread_time() - mark)
        self._collected(subclass)

    def _relate_if_due(self, now: int) -> float:
        if not self._changed:
            return 3600.0
        if self._related_ns is not None:
            left = self._related_ns + self._relation_ns - now
            if left > 0:
                return left / _NS
        self._relate()
        return 3600.0

    def _relate(self) -> None:
        """Join what was collected into relations and role tags."""
        mark = time.thread_time()
        with self._ledger.measure("relate"):
            snapshot = self._reporter.snapshot
            paths = set(join.paths(snapshot))
            unknown = paths - self._owners.keys()
            if unknown:
                # Files without an owner are kept as "", so that they are not asked for again.
                self._owners.update(dict.fromkeys(unknown, ""))
                self._owners.update(owners(self._host, sorted(unknown)))
            if len(self._owners) > MAX_OWNERS:
                self._owners = {p: o for p, o in self._owners.items() if p in paths}
            known = {path: owner for path, owner in self._owners.items() if owner}
            relations = join.relations(snapshot, known)
            if self._roles is None:
                self._roles = shipped_roles()
            roles = tags(snapshot, self._roles, exists=self._host.exists)
            self._reporter.relate(relations, roles)
        self._grant.spend(time.thread_time() - mark)
        self._changed = False
        self._related_ns = self._clock.mono_ns()


def shipped_roles() -> list[Role]:
    """The roles of this installation, without their fixtures. A bad file is logged and left out."""
    found: list[Role] = []
    none = RoleCases(positive=[], negative=[])
    for source, data in shipped("roles"):
        try:
            role = role_files.parse(source, data)
        except BadContent as error:
            _log.error("roles: %s", error)
            continue
        found.append(msgspec.structs.replace(role, tests=none))
    return found
