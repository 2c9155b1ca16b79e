import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.agent.budget import LEVELS, Background, EventPath
from hauberk.schema.event import NetworkActivity, ProcessActivity

S = 10**9


def launch(n):
    return ProcessActivity(activity_id=1, time_ns=n, mono_ns=n, pid=n)


def leave(n, duration=1000):
    return ProcessActivity(activity_id=2, time_ns=n, mono_ns=n, pid=n, duration_ns=duration)


def connection(n, direction):
    return NetworkActivity(activity_id=1, time_ns=n, mono_ns=n, pid=n, direction=direction)


def test_the_first_inventory_fits_at_once_then_work_is_spread(clock):
    grant = Background(1.0, 2, clock)
    grant.spend(36.0)
    assert grant.owed_s() == 0
    grant.spend(1.0)
    assert round(grant.owed_s()) == 100
    clock.advance(101)
    assert grant.owed_s() == 0


def test_wall_clock_jumps_give_nothing(clock):
    grant = Background(1.0, 1, clock)
    grant.spend(20.0)
    owed = grant.owed_s()
    clock.jump(10**6)
    assert grant.owed_s() == owed > 0
    clock.jump(-(10**7))
    assert grant.owed_s() == owed


class Mono:
    now = 0

    def mono_ns(self):
        return self.now

    def wall_ns(self):
        return 0


@settings(max_examples=60)
@given(
    pct=st.sampled_from([0.5, 1.0, 5.0]),
    cpus=st.integers(1, 8),
    pattern=st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(0, 600)), min_size=1, max_size=12),
)
def test_no_hour_spends_more_than_its_grant(pct, cpus, pattern):
    clock = Mono()
    grant = Background(pct, cpus, clock)
    spent = []
    for work, pause in itertools.cycle(pattern):
        clock.now += int(pause * S)
        if owed := grant.owed_s():
            clock.now += int(owed * S) + 1
        if clock.now > 3 * 3600 * S or len(spent) > 3000:
            break
        grant.spend(work)
        spent.append((clock.now, work))
    hour = pct / 100 * cpus * 3600
    for start, _ in spent[::17]:
        within = [w for at, w in spent if start <= at < start + 3600 * S]
        # One piece of work may begin while a sliver of the grant is left.
        assert sum(within) <= hour + 2.0


def test_a_smaller_grant_takes_the_burst_away(clock):
    grant = Background(10.0, 1, clock)
    grant.change(1.0)
    grant.spend(18.0)
    assert grant.owed_s() == 0
    grant.spend(0.5)
    assert grant.owed_s() > 0


def run_windows(path, clock, share, count):
    shed = []
    for _ in range(count):
        path.spend(share / 100 * 5)
        clock.advance(5)
        shed.append(path.turn())
    return shed


def test_under_the_grant_nothing_is_shed(clock):
    path = EventPath(10.0, clock)
    rows = [leave(n) for n in range(100)]
    assert run_windows(path, clock, 9, 3) == [None] * 3
    assert path.admit(rows) is rows


def test_over_the_grant_it_sheds_by_value_and_counts_every_row(clock):
    path = EventPath(10.0, clock)
    rows = [
        row
        for n in range(100)
        for row in (
            launch(n),
            leave(n),
            leave(n, 5 * S),
            connection(n, "inbound"),
            connection(n, "outbound"),
        )
    ]
    kept = []
    for level in range(len(LEVELS)):
        assert path.level == level
        admitted = path.admit(rows)
        kept.append(len(admitted))
        path.spend(5.0)
        clock.advance(5)
        shed = path.turn()
        if level:
            assert shed.rows == len(rows) - len(admitted)
            assert shed.reason == LEVELS[level]
            assert shed.until_ns - shed.since_ns == 5 * S
    assert kept == [500, 410, 400, 310, 300]
    assert path.level == len(LEVELS) - 1
    worst = path.admit(rows)
    assert [r for r in rows if r in worst and isinstance(r, ProcessActivity) and r.activity_id == 1]
    assert sum(isinstance(r, ProcessActivity) and r.activity_id == 1 for r in worst) == 100
    assert sum(getattr(r, "direction", "") == "outbound" for r in worst) == 100


def test_it_recovers_step_by_step(clock):
    path = EventPath(10.0, clock)
    run_windows(path, clock, 50, 4)
    assert path.level == 4
    run_windows(path, clock, 8, 3)
    assert path.level == 4
    run_windows(path, clock, 1, 4)
    assert path.level == 0


def test_a_window_is_not_ended_by_the_wall_clock(clock):
    path = EventPath(10.0, clock)
    path.spend(5.0)
    clock.jump(3600)
    assert path.turn() is None
    assert path.level == 0
