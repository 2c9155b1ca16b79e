from __future__ import annotations

from hauberk.sensor.processes import KEPT_ARGUMENTS, Process, ProcessTable

SECOND = 1_000_000_000


def table(most=100, on_system=()):
    known = {p.pid: p for p in on_system}
    return ProcessTable(most, known.get)


def test_a_reused_pid_is_another_process():
    processes = table()
    processes.put(Process(7, SECOND, name="old"))
    assert processes.pop(7, 5 * SECOND) is None
    assert processes.at(7, 5 * SECOND, 1, "new").name == "new"
    assert processes.get(7).start_ns == SECOND


def test_start_from_proc_in_ticks_is_the_same_process_and_gets_exact():
    processes = table()
    processes.put(Process(7, 1_230_000_000, name="nginx", exe="/usr/sbin/nginx"))
    found = processes.at(7, 1_234_567_890, 1, "nginx")
    assert found.exe == "/usr/sbin/nginx"
    assert found.start_ns == 1_234_567_890


def test_a_fork_without_exec_is_like_its_parent():
    processes = table()
    processes.put(
        Process(5, SECOND, 1, 33, 33, "nginx", "/usr/sbin/nginx", ["nginx"], is_self=True)
    )
    worker = processes.at(6, 2 * SECOND, 5, "nginx")
    assert (worker.exe, worker.argv, worker.ppid, worker.parent_name) == (
        "/usr/sbin/nginx",
        ["nginx"],
        5,
        "nginx",
    )
    assert worker.is_self
    assert processes.get(6) is None


def test_a_process_read_from_the_system_is_remembered_with_its_exact_start():
    processes = table(on_system=[Process(6, 2 * SECOND, 5, name="worker")])
    processes.put(Process(5, SECOND, name="master", is_self=True))
    worker = processes.at(6, 2 * SECOND + 5_000_000, 5, "worker")
    assert processes.get(6) is worker
    assert (worker.start_ns, worker.parent_name) == (2 * SECOND + 5_000_000, "master")
    assert worker.is_self


def test_self_is_inherited_and_set_later_for_known_descendants():
    processes = table()
    for pid, ppid in ((1, 0), (10, 1), (11, 10), (12, 11), (20, 1)):
        processes.put(Process(pid, SECOND, ppid))
    processes.set_self_roots({10})
    assert [processes.get(p).is_self for p in (1, 10, 11, 12, 20)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    processes.put(Process(13, SECOND, 12))
    processes.put(Process(21, SECOND, 20))
    assert processes.get(13).is_self
    assert not processes.get(21).is_self
    processes.set_self_roots(())
    assert not any(processes.get(p).is_self for p in (10, 11, 12, 13))


def test_a_loop_of_parents_ends():
    processes = table()
    processes.put(Process(10, SECOND, 11))
    processes.put(Process(11, SECOND, 10))
    processes.set_self_roots({99})
    assert not processes.get(10).is_self
    processes.set_self_roots({11})
    assert processes.get(10).is_self
    assert processes.get(11).is_self


def test_self_stays_after_the_root_of_a_daemon_is_gone():
    processes = table()
    processes.put(Process(10, SECOND, 1))
    processes.set_self_roots({10})
    processes.put(Process(11, SECOND, 10))
    processes.pop(10, SECOND)
    processes.put(Process(12, SECOND, 11))
    assert processes.get(12).is_self


def test_the_table_is_bounded_and_sweeps_the_dead_first():
    alive = [Process(p, SECOND) for p in range(5)]
    processes = table(most=20, on_system=alive)
    for pid in range(200):
        processes.put(Process(pid, SECOND))
        assert len(processes) <= 20
    assert all(processes.get(p) is not None for p in range(5))


def test_the_table_is_bounded_even_when_everything_lives():
    processes = table(most=10, on_system=[Process(p, SECOND) for p in range(100)])
    for pid in range(100):
        processes.put(Process(pid, SECOND))
    assert len(processes) <= 10
    assert processes.get(99) is not None


def test_huge_arguments_are_not_kept_but_said_to_be_cut():
    process = Process(1)
    process.keep_arguments(["a", "b" * KEPT_ARGUMENTS], truncated=False)
    assert process.argv == ["a"]
    assert process.argv_truncated
    process.keep_arguments([""] * 10_000, truncated=False)
    assert len(process.argv) <= KEPT_ARGUMENTS
    assert process.argv_truncated


def test_unknown_parent_is_read_with_its_own_parent():
    processes = table(on_system=[Process(40, SECOND, 30, name="sh"), Process(30, SECOND, 1)])
    processes.set_self_roots({30})
    assert processes.parent(40).is_self
    assert processes.parent(12345) is None
    assert processes.parent(0) is None


def test_a_reused_pid_of_a_root_is_not_ours():
    table = ProcessTable(9, lambda pid: Process(50, 7 * SECOND) if pid == 50 else None)
    table.set_self_roots([50, 60])
    table.put(Process(50, 7 * SECOND + 5))
    table.put(Process(51, 8 * SECOND, ppid=50))
    assert table.get(50).is_self
    assert table.get(51).is_self
    assert table.like_parent(60, 9 * SECOND, 1, "x").is_self
    table.pop(50, 7 * SECOND)
    table.put(Process(50, 99 * SECOND))
    table.put(Process(52, 99 * SECOND, ppid=50))
    assert not table.get(50).is_self
    assert not table.get(52).is_self
    assert not table.like_parent(60, 99 * SECOND, 1, "x").is_self
