import pytest

from hauberk.agent.pressure import LEAST_EVERY_S, LONGEST_S, Pressure


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "pressure").mkdir()

    def set_(**some):
        for kind, value in some.items():
            (tmp_path / "pressure" / kind).write_text(
                f"some avg10={value:.2f} avg60=0.00 avg300=0.00 total=5\n"
                "full avg10=99.00 avg60=0.00 avg300=0.00 total=0\n"
            )

    set_(cpu=0, memory=0, io=0)
    return tmp_path, set_


@pytest.fixture
def make(proc, clock):
    def made(**more):
        return Pressure(clock, limit_pct=40.0, proc=proc[0], cpus=2, **more)

    return made


def look(pressure, clock):
    clock.advance(2)
    return pressure.look()


def test_it_waits_over_the_limit_and_goes_on_well_below(make, proc, clock):
    pressure = make()
    assert not look(pressure, clock)
    proc[1](io=41)
    assert look(pressure, clock)
    assert pressure.now == {"cpu": 0, "memory": 0, "io": 41}
    proc[1](io=30)
    assert look(pressure, clock)
    proc[1](io=24)
    assert not look(pressure, clock)
    proc[1](io=39)
    assert not look(pressure, clock)


def test_it_looks_at_most_every_two_seconds(make, proc, clock):
    pressure = make()
    look(pressure, clock)
    proc[1](cpu=90)
    clock.advance(1)
    assert not pressure.look()
    clock.advance(1)
    assert pressure.look()


def test_never_for_ever_one_piece_a_minute_after_a_quarter_of_an_hour(make, proc, clock):
    pressure = make()
    proc[1](memory=80)
    look(pressure, clock)
    assert not pressure.least()
    clock.advance(LONGEST_S)
    assert pressure.waited_s() >= LONGEST_S
    assert pressure.least()
    assert not pressure.least()
    clock.advance(LEAST_EVERY_S)
    assert pressure.least()
    proc[1](memory=0)
    look(pressure, clock)
    assert not pressure.least()
    assert pressure.waited_s() == 0


def test_its_own_throttling_is_not_the_machines_pressure(make, proc, clock):
    held = [0.0]
    pressure = make(throttled_s=lambda: held[0])
    look(pressure, clock)
    proc[1](cpu=60)
    held[0] = 1.0  # of two seconds
    assert not look(pressure, clock)
    assert pressure.now["cpu"] == 10
    assert look(pressure, clock)


def test_without_the_kernels_word_load_and_memory_stand_in(tmp_path, clock):
    (tmp_path / "loadavg").write_text("8.00 1 1 1/2 3\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n")
    pressure = Pressure(clock, limit_pct=40.0, proc=tmp_path, cpus=2)
    assert look(pressure, clock)
    assert pressure.now is None
    assert pressure.detail == (
        "no pressure stall information: judged by load 8 on 2 CPUs, 50% of memory available"
    )
    (tmp_path / "loadavg").write_text("1.00 1 1 1/2 3\n")
    assert not look(pressure, clock)
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 20 kB\n")
    assert look(pressure, clock)
    (tmp_path / "meminfo").write_text("")
    look(pressure, clock)
    assert "could not be read" in pressure.detail
