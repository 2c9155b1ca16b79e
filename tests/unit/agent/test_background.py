import queue
import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

import pytest

from hauberk.agent.background import LONGEST_WAIT_S, BackgroundLoop, shipped_roles
from hauberk.agent.budget import Background
from hauberk.agent.reporter import RESEND_S, Reporter
from hauberk.agent.schedule import Plan
from hauberk.agent.tasks import TaskGate
from hauberk.errors import PathDenied
from hauberk.host.memory import DictHost
from hauberk.ports import Collector
from hauberk.schema.asset import Asset, column
from hauberk.schema.link import Budget, Schedule, Window


class Thing(Asset, frozen=True, kw_only=True):
    KEY: ClassVar = ("name",)
    name: Annotated[str, column("Name", "名称")]


@pytest.fixture
def world():
    """Rows by subclass that the collectors will find; an exception is raised instead."""
    return {"os.kernel": ["k"], "os.module": ["m1", "m2"]}


@pytest.fixture
def loop(world, spool, ledger, clock, ids, tmp_path):
    def collector(subclass, every_s):
        def collect(_host, _notes):
            if isinstance(world[subclass], Exception):
                raise world[subclass]
            yield from [Thing(name=n) for n in world[subclass]]

        return Collector(subclass, Thing, collect, every_s=every_s)

    found = {"os.kernel": collector("os.kernel", 60), "os.module": collector("os.module", 600)}
    seen = []
    gate = TaskGate(tmp_path / "tasks.json", ids, boot="boot-1", clock=clock)
    grant = Background(1.0, 2, clock)
    reporter = Reporter(spool, ledger, clock)
    made = BackgroundLoop(
        DictHost({}),
        found,
        Plan({s: c.every_s for s, c in found.items()}, Schedule(jitter=0), lambda: 0.0),
        grant,
        reporter,
        gate,
        ledger,
        clock,
        threading.Event(),
        relation_s=60.0,
        collected=seen.append,
    )
    made.seen, made.gate, made.grant, made.reporter = seen, gate, grant, reporter
    return made


def settle(loop):
    while (wait := loop.turn()) == 0.0:
        continue
    return wait


def names(tables, spool):
    return [t.name for t, _ in tables(spool)]


def test_everything_is_collected_then_related_then_it_waits(loop, spool, tables, clock):
    wait = settle(loop)
    assert loop.seen == ["os.kernel", "os.module"]
    got = names(tables, spool)
    assert got.count("collection") == 2
    assert got[-2:] == ["relation", "role"]
    assert 0 < wait <= 60
    clock.advance(60)
    settle(loop)
    assert loop.seen == ["os.kernel", "os.module", "os.kernel"]
    assert names(tables, spool) == ["collection"]


def test_changes_are_related_not_more_often_than_allowed(loop, world, spool, tables, clock):
    settle(loop)
    tables(spool)
    clock.advance(60)
    world["os.kernel"] = ["k2"]
    settle(loop)
    assert loop._changed is False
    clock.advance(1)
    world["os.kernel"] = ["k3"]
    loop._plan.collect_now(["os.kernel"])
    wait = settle(loop)
    assert loop._changed is True
    assert wait <= 59
    clock.advance(60)
    settle(loop)
    assert loop._changed is False


def test_a_collector_that_cannot_look_is_told(loop, world, spool, tables):
    world["os.kernel"] = PathDenied("/proc: denied")
    settle(loop)
    proofs = {r["subclass"]: r for t, rows in tables(spool) if t.name == "collection" for r in rows}
    assert proofs["os.kernel"]["outcome"] == "error"
    assert "denied" in proofs["os.kernel"]["what"][0]
    assert proofs["os.module"]["outcome"] == "ok"


def test_collect_now_is_answered_when_its_rows_are_in_the_spool(
    loop, spool, tables, sign, task, clock
):
    settle(loop)
    tables(spool)
    loop.ask(loop.gate.judge(sign("task", task(args={"subclasses": ["os.module", "x.y"]}))))
    settle(loop)
    assert "collection" in names(tables, spool)
    (answer,) = loop.gate.untold()
    assert answer.outcome == "done"
    assert "collected 1" in answer.message
    assert "x.y" in answer.message


def test_an_order_that_names_nothing_we_have_fails(loop, sign, task):
    loop.ask(loop.gate.judge(sign("task", task(args={"subclasses": ["x.y"]}))))
    settle(loop)
    assert loop.gate.untold()[0].outcome == "failed"


def test_an_order_that_expired_in_the_queue_is_not_run(loop, sign, task, clock):
    settle(loop)
    loop.ask(loop.gate.judge(sign("task", task(ttl_s=5.0))))
    clock.advance(6)
    before = len(loop.seen)
    loop.turn()
    assert loop.gate.untold()[0].outcome == "refused"
    assert len(loop.seen) == before


class Pauses:
    """Stands for the queue: waiting takes no time but turns the clock; `then` is asked once."""

    def __init__(self, clock, then=()):
        self.clock, self.waits, self.then = clock, [], list(then)

    def empty(self):
        return True

    def get(self, timeout):
        self.waits.append(timeout)
        if self.then:
            return self.then.pop(0)
        self.clock.advance(timeout)
        raise queue.Empty

    def put(self, what):
        self.then.append(what)


def test_orders_do_not_wait_for_the_grant(loop, sign, task, clock):
    settle(loop)
    loop.grant.spend(10_000)
    loop.ask(loop.gate.judge(sign("task", task())))
    loop.turn()
    assert loop.gate.untold()[0].outcome == "done"


def test_regular_work_waits_for_the_grant_in_steps(loop, clock):
    loop.grant.spend(loop.grant._burst + 1)
    loop._asked = Pauses(clock)
    settle(loop)
    assert 100 <= sum(loop._asked.waits[:5]) <= 101.1
    assert max(loop._asked.waits) <= LONGEST_WAIT_S
    assert loop.seen == ["os.kernel", "os.module"]


def test_an_order_is_heard_in_a_pause_and_supersedes_the_paused_run(
    loop, sign, task, clock, spool, tables
):
    loop.grant.spend(loop.grant._burst + 100)
    order = loop.gate.judge(sign("task", task(args={"subclasses": ["os.kernel"]})))
    loop._asked = Pauses(clock, [order])
    loop.turn()
    assert loop.seen == ["os.kernel"]
    assert loop.gate.untold()[0].outcome == "done"
    assert [t.name for t, _ in tables(spool)].count("collection") == 1


def test_a_collector_that_crashes_does_not_keep_the_others_from_their_turn(loop, world):
    world["os.kernel"] = MemoryError()
    with pytest.raises(MemoryError):
        loop.turn()
    settle(loop)
    assert loop.seen == ["os.module"]


def test_an_order_that_crashes_is_answered(loop, world, sign, task):
    settle(loop)
    world["os.kernel"] = MemoryError()
    loop.ask(loop.gate.judge(sign("task", task())))
    with pytest.raises(MemoryError):
        loop.turn()
    assert loop.gate.untold()[0].outcome == "failed"


def test_stopping_ends_a_paused_collection(loop, clock):
    loop.grant.spend(loop.grant._burst + 100)
    loop._asked = Pauses(clock)
    loop._asked.get = lambda **_: loop._stop.set()
    loop.run()
    assert loop.seen == []


def test_reload_and_resync_send_everything_in_full(loop, spool, tables, sign, task, clock):
    settle(loop)
    tables(spool)
    loop.ask(loop.gate.judge(sign("task", task(kind="reload"))))
    settle(loop)
    full = [t.name for t, _ in tables(spool) if t.meta.get("full") == 1]
    assert full == ["asset/os.kernel", "asset/os.module"]
    assert loop.gate.untold()[0].outcome == "done"
    clock.advance(RESEND_S)
    loop.reporter.full_next()
    loop.ask(None)
    settle(loop)
    assert "asset/os.kernel" in names(tables, spool)


def test_desired_state_changes_schedule_and_grant(loop, desired, clock):
    settle(loop)
    loop.ask(
        desired(
            schedule=Schedule(every_s={"os.module": 30}, jitter=0), budget=Budget(background_pct=2)
        )
    )
    clock.advance(30)
    settle(loop)
    assert loop.seen == ["os.kernel", "os.module", "os.module"]
    assert loop.grant._burst == pytest.approx(72)


def test_shipped_roles_are_read_without_their_fixtures():
    roles = shipped_roles()
    assert all(r.tests.positive == [] for r in roles)
    assert len({r.id for r in roles}) == len(roles) > 0


class Pressed:
    """Stands for the pressure: `on` says whether the machine is pressed."""

    def __init__(self):
        self.on, self.may, self.since = True, False, 0.0

    def look(self):
        return self.on

    def least(self):
        may, self.may = self.may, False
        return may

    def waited_s(self):
        return self.since if self.on else 0.0


@pytest.fixture
def pressed(loop):
    loop._pressure = Pressed()
    return loop._pressure


def test_what_was_never_looked_at_is_collected_slowly_under_pressure(loop, pressed):
    settle_some(loop)
    assert loop.seen == ["os.kernel", "os.module"]


def settle_some(loop):
    while loop.turn() == 0.0:
        assert loop.busy is False


def looked_at(loop, clock):
    """Everything was collected once, and is due again."""
    settle(loop)
    clock.advance(700)
    loop.seen.clear()


def test_under_pressure_regular_work_waits_and_the_ledger_says_so(loop, pressed, ledger, clock):
    pressed.on = False
    looked_at(loop, clock)
    ledger.entries()
    pressed.on = True
    assert loop.turn() > 0
    assert loop.turn() > 0
    assert loop.seen == []
    clock.advance(61)
    shed = {e.capability: e.shed for e in ledger.entries() if e.shed}
    assert shed == {"collect/os.kernel": 1, "collect/os.module": 1}
    pressed.on = False
    settle(loop)
    assert loop.seen == ["os.kernel", "os.module"]


def test_under_pressure_a_minimum_is_done(loop, pressed, clock):
    pressed.on = False
    looked_at(loop, clock)
    pressed.on = True
    loop.turn()
    pressed.may, pressed.since = True, 10_000.0
    loop.turn()
    loop.turn()
    assert loop.seen == ["os.kernel"]


def test_a_collection_in_the_middle_pauses_while_the_machine_is_pressed(loop, pressed, clock):
    pressed.on = False
    looked_at(loop, clock)
    loop._asked = Pauses(clock)
    kept = Pauses.get

    def get(self, timeout):
        pressed.on = len(self.waits) < 4
        return kept(self, timeout)

    collector = loop._collectors["os.kernel"]

    def collect(_host, _notes):
        pressed.on = True
        yield from [Thing(name=str(n)) for n in range(3)]

    loop._collectors["os.kernel"] = Collector("os.kernel", Thing, collect, every_s=60)
    assert collector is not loop._collectors["os.kernel"]
    Pauses.get = get
    try:
        loop.turn()
    finally:
        Pauses.get = kept
    assert loop.seen == ["os.kernel"]


def test_orders_run_under_pressure(loop, pressed, sign, task):
    loop.ask(loop.gate.judge(sign("task", task())))
    loop.turn()
    assert loop.gate.untold()[0].outcome == "done"


def test_outside_of_the_windows_nothing_regular_begins(loop, clock, desired, sign, task):
    loop._zone = lambda: UTC
    opens = datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC) + timedelta(hours=2)
    night = Window(start=f"{opens:%H:%M}", minutes=60)
    loop.ask(desired(schedule=Schedule(windows=[night], jitter=0)))
    assert loop.turn() == LONGEST_WAIT_S
    assert (loop.seen, loop.window_open) == ([], False)
    loop.ask(loop.gate.judge(sign("task", task(args={"subclasses": ["os.module"]}))))
    loop.turn()
    assert loop.seen == ["os.module"]  # orders of people always
    clock.advance(2 * 3600 + 60)
    settle(loop)
    assert (loop.seen, loop.window_open) == (["os.module", "os.kernel", "os.module"], True)


def answers(loop):
    return {r.task: (r.outcome, r.message) for r in loop.gate.untold()}


def test_an_order_that_has_not_started_is_called_off_at_once(loop, sign, task):
    loop.ask(loop.gate.judge(sign("task", task())))
    stop = task(id="task-2", sequence=2, kind="cancel", args={"task": ["task-1"], "by": ["ann"]})
    loop.cancel(loop.gate.judge(sign("task", stop)))
    assert answers(loop) == {
        "task-1": ("failed", "cancelled by ann"),
        "task-2": ("done", "task-1 will not start"),
    }
    loop._drain()
    assert loop.seen == []


def test_a_running_order_stops_at_its_next_pace(loop, sign, task):
    stop = task(id="task-2", sequence=2, kind="cancel", args={"task": ["task-1"]})
    order = loop.gate.judge(sign("task", task()))
    stop = loop.gate.judge(sign("task", stop))
    collected = []

    def collect(_host, _notes):
        loop.cancel(stop)
        for n in range(10_000):
            collected.append(n)
            yield Thing(name=str(n))

    loop._collectors["os.kernel"] = Collector("os.kernel", Thing, collect, every_s=60)
    loop.ask(order)
    loop._drain()
    assert answers(loop) == {
        "task-1": ("failed", "cancelled by the server"),
        "task-2": ("done", "task-1 stops"),
    }
    assert len(collected) < 10_000
    assert loop.seen == []
    assert loop._plan.due(0) == [] or "os.module" not in loop._plan._asked
    other = loop.gate.judge(sign("task", task(id="task-3", sequence=3)))
    loop._collectors["os.kernel"] = Collector(
        "os.kernel", Thing, lambda _h, _n: iter(()), every_s=60
    )
    loop.ask(other)
    loop._drain()
    assert answers(loop)["task-3"][0] == "done"


def test_calling_off_what_is_over_or_unknown(loop, sign, task):
    loop.ask(loop.gate.judge(sign("task", task())))
    settle(loop)
    stop = task(id="task-2", sequence=2, kind="cancel", args={"task": ["task-1", "x"]})
    loop.cancel(loop.gate.judge(sign("task", stop)))
    assert answers(loop)["task-2"] == ("done", "task-1 had ended; x is not known")
    assert answers(loop)["task-1"][0] == "done"
    empty = task(id="task-4", sequence=4, kind="cancel")
    loop.cancel(loop.gate.judge(sign("task", empty)))
    assert answers(loop)["task-4"] == ("failed", "names no task")


class Files:
    def __init__(self):
        self.steps = 0

    def due(self):
        return self.steps == 0

    def step(self):
        self.steps += 1
        return 5


def test_own_files_are_checked_along_the_way_also_under_pressure(loop, pressed, ledger, clock):
    loop._integrity = Files()
    loop.turn()
    assert loop._integrity.steps == 1
    clock.advance(61)
    assert {e.capability: e.rows for e in ledger.entries()}["integrity"] == 5


def test_caches_are_given_up_when_asked(loop):
    loop._owners["/x"] = "y"
    loop.relieve()
    loop.turn()
    assert loop._owners.get("/x") is None
