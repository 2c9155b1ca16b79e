import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.agent.budget import KEEP_ONE_IN, MOST_KEYS, MOST_STEPS, RARE, Background, EventPath
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


@settings(max_examples=60, deadline=None)
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
    assert run_windows(path, clock, 4, 3) == [None] * 3
    assert path.admit(rows) is rows
    assert run_windows(path, clock, 9, 3) == [None] * 3
    assert path.admit(rows) == rows


def over(path, clock, rows, share=20.0):
    """One window over the grant in which `rows` came; what was admitted and what was shed."""
    kept = list(path.admit(rows))
    path.spend(share / 100 * 5)
    clock.advance(5)
    return kept, path.turn()


def test_over_the_grant_it_sheds_by_amount_over_value_and_counts_every_row(clock):
    path = EventPath(10.0, clock)
    rows = [
        row
        for n in range(1000)
        for row in (
            launch(n),
            leave(n),
            leave(n, 5 * S),
            connection(n, "inbound"),
            connection(n, "outbound"),
        )
    ]
    kept, told = [], []
    for step in range(MOST_STEPS + 1):
        assert path.level == step
        words = path.describe()
        told.append(words)
        admitted, shed = over(path, clock, rows)
        kept.append(len(admitted))
        assert (shed.rows if shed else 0) == len(rows) - len(admitted)
        if shed:
            assert shed.until_ns - shed.since_ns == 5 * S
            assert "exits of short processes" in shed.reason
    # Exits first, then accepted connections, then repetitions; each sampled before it is dropped.
    assert told[1] == "1 in 10 exits of processes shorter than 1 s kept"
    assert told[2].startswith("exits of processes shorter than 1 s left out")
    assert "accepted" in told[4]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 5000
    assert path.level == MOST_STEPS  # and no further
    worst = path.admit(rows)
    starts = [r for r in worst if isinstance(r, ProcessActivity) and r.activity_id == 1]
    assert [r.pid for r in starts[:RARE]] == list(range(RARE))
    assert RARE < len(starts) < 40
    assert sum(getattr(r, "duration_ns", None) == 5 * S for r in worst) == 1000


def test_what_is_not_there_is_not_shed(clock):
    path = EventPath(10.0, clock)
    rows = [connection(n, "inbound") for n in range(500)]
    path.admit(rows)
    run_windows(path, clock, 8, 1)  # over half of the grant: it counts from now on
    over(path, clock, rows)
    assert path.describe() == "1 in 10 accepted connections kept"
    kept, _ = over(path, clock, rows)
    assert len(kept) == 500 // KEEP_ONE_IN


def test_new_programs_and_rare_parents_are_kept_whole(clock):
    path = EventPath(10.0, clock)
    run_windows(path, clock, 50, 6)
    rows = [
        ProcessActivity(
            activity_id=1, time_ns=n, mono_ns=n, pid=n, exe=f"/tmp/{n}", parent_name="x"
        )
        for n in range(MOST_KEYS * 2)
    ]
    assert list(path.admit(rows)) == rows
    assert len(path._alike) == MOST_KEYS


def test_a_storm_is_met_before_its_window_ends(clock):
    path = EventPath(10.0, clock)
    path.spend(0.8)
    clock.advance(1)
    path.turn()
    assert path.level == 2  # more than three times over: two steps


def test_with_nothing_left_to_shed_the_reader_rests(clock):
    path = EventPath(10.0, clock)
    path.spend(0.9)
    assert path.pause_s() == 0
    path.spend(0.15)
    assert 0.4 < path.pause_s() < 0.6
    path.spend(100)
    assert path.pause_s() == 1.0
    spent = rested = 0.0
    path = EventPath(10.0, clock)
    for _ in range(2000):
        rested += path.pause_s()
        clock.advance(path.pause_s() + 0.05)
        path.spend(0.05)
        spent += 0.05
    assert spent / (rested + spent) < 0.12


def test_short_of_memory_two_kinds_go_at_once(clock):
    path = EventPath(10.0, clock)
    path.squeezed = True
    rows = [leave(1), launch(2), connection(3, "inbound"), connection(4, "outbound")]
    assert list(path.admit(rows)) == [rows[1], rows[3]]
    assert "short of memory" in path.describe()
    clock.advance(5)
    shed = path.turn()
    assert shed.rows == 2
    assert shed.reason.startswith("short of memory")


def test_it_recovers_step_by_step(clock):
    path = EventPath(10.0, clock)
    run_windows(path, clock, 20, 4)
    assert path.level == 4
    run_windows(path, clock, 8, 3)
    assert path.level == 4
    run_windows(path, clock, 1, 4)
    assert path.level == 0


def test_a_restart_does_not_renew_the_burst(clock, tmp_path):
    kept = tmp_path / "grant.json"

    def start(boot="b1"):
        return Background(1.0, 2, clock, kept=kept, boot=boot)

    first = start()
    first.spend(36.0)
    assert start().owed_s() == 0
    first.spend(2.0)
    owed = start().owed_s()
    assert round(owed) == round(first.owed_s()) == 200
    clock.advance(200)
    assert start().owed_s() == 0
    clock.jump(100)  # of the wall only: after a boot it is all that is known
    again = start(boot="b2")
    again.spend(2.5)
    assert 0 < again.owed_s() < 250


def test_a_damaged_level_gives_no_burst(clock, tmp_path):
    kept = tmp_path / "grant.json"
    kept.write_bytes(b"{")
    grant = Background(1.0, 2, clock, kept=kept, boot="b")
    grant.spend(0.1)
    assert grant.owed_s() > 0
    grant.save()
    assert b"tokens" in kept.read_bytes()


def test_a_window_is_not_ended_by_the_wall_clock(clock):
    path = EventPath(10.0, clock)
    path.spend(0.7)
    clock.jump(3600)
    assert path.turn() is None
    assert path.level == 0


def test_many_orders_do_not_keep_background_work_waiting_for_days(clock):
    grant = Background(1.0, 2, clock)
    for _ in range(100):
        grant.spend(30.0)
    assert 0 < grant.owed_s() <= 2 * 3600
    clock.advance(2 * 3600 + 1)
    assert grant.owed_s() == 0
