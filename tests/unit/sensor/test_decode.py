from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hauberk.errors import BadWire
from hauberk.schema.event import LAUNCH, LISTEN, OPEN, TERMINATE
from hauberk.sensor import decode as decode_module
from hauberk.sensor import records
from hauberk.sensor.decode import PENDING_NS, Decoder
from hauberk.sensor.processes import Process
from hauberk.sensor.source import Batch

SECOND = 1_000_000_000


@pytest.fixture
def decode(state):
    decoder = Decoder(state)

    def feed(*parts):
        batch = Batch()
        decoder.feed(b"".join(parts), batch)
        return batch

    feed.decoder = decoder
    return feed


def test_exec_and_exit(decode, ring, clock, state):
    state.processes.put(Process(1, SECOND // 2, name="init"))
    batch = decode(
        ring.exec(50, area=b"/bin/true\0--x\0", uid=33, gid=34, cgroup=9),
        ring.exit(50, 3 << 8, comm=b"true"),
    )
    launch, end = batch.process
    assert (launch.activity_id, end.activity_id) == (LAUNCH, TERMINATE)
    assert launch.argv == ["/bin/true", "--x"]
    assert not launch.argv_truncated
    assert (launch.exe, launch.name, launch.parent_name) == ("/usr/bin/true", "true", "init")
    assert (launch.uid, launch.gid, launch.ppid, launch.cgroup_id) == (33, 34, 1, 9)
    assert launch.time_ns == launch.mono_ns + clock.wall - clock.mono
    assert (end.exit_code, end.exit_signal, end.duration_ns) == (3, None, 4 * SECOND)
    assert (end.exe, end.argv, end.gid) == ("/usr/bin/true", ["/bin/true", "--x"], 34)
    assert state.processes.get(50) is None


def test_parent_name_comes_from_the_record_when_the_parent_is_unknown(decode, ring):
    (launch,) = decode(ring.exec(50, ppid=49, parent_comm=b"cron")).process
    assert launch.parent_name == "cron"


def test_exit_reported_twice_counts_once(decode, ring):
    assert len(decode(ring.exec(50), ring.exit(50), ring.exit(50)).process) == 2
    assert len(decode(ring.exit(50)).process) == 0
    assert len(decode(ring.exit(50, start=9 * SECOND)).process) == 1


def test_exit_of_an_unknown_process_is_like_its_parent(decode, ring, state):
    state.processes.put(Process(40, 1, exe="/bin/sh", argv=["sh", "-c", "(:)"], is_self=True))
    (end,) = decode(ring.exit(41, 9, ppid=40, comm=b"sh")).process
    assert (end.exe, end.name, end.exit_signal, end.exit_code) == ("/bin/sh", "sh", 9, None)
    assert end.is_self


def test_long_arguments_come_in_parts(decode, ring):
    words = [b"%d" % n * 100 for n in range(500)]
    area = b"".join(w + b"\0" for w in words)
    first, second = 16384, 32768
    one = decode(ring.exec(50, area=area[:first], total=len(area)))
    assert one.process == []
    two = decode(
        ring.args(50, first, area[first:second]),
        ring.exec(51),
        ring.args(50, second, area[second:]),
    )
    assert [p.pid for p in two.process] == [51, 50]
    assert two.process[1].argv == [w.decode() for w in words]
    assert not two.process[1].argv_truncated


def test_a_missing_part_is_told_and_proc_is_asked(decode, ring, proc, clock):
    area = b"x" * 40_000 + b"\0"
    start = decode(ring.exec(50, area=area[:16384], total=len(area)))
    assert start.process == []
    lost = decode(ring.args(50, 32768, area[32768:]))
    assert lost.process == []
    clock.mono += 2 * SECOND + PENDING_NS
    batch = Batch()
    decode.decoder.flush(batch)
    (cut,) = batch.process
    assert cut.argv == ["x" * 16384]
    assert cut.argv_truncated

    proc.add(60, start_ticks=100, cmdline=area)
    batch = decode(ring.exec(60, area=area[:16384], total=len(area), start=1_000_000_001))
    (whole,) = batch.process
    assert whole.argv == ["x" * 40_000]
    assert not whole.argv_truncated


def test_unreadable_arguments_are_said_to_be_cut(decode, ring):
    (launch,) = decode(ring.exec(50, area=b"", total=30, flags=records.ARGS_UNREADABLE)).process
    assert launch.argv == []
    assert launch.argv_truncated


def test_another_programs_proc_entry_does_not_complete_arguments(decode, ring, proc):
    proc.add(50, start_ticks=100, cmdline=b"something else entirely, and longer\0")
    batch = decode(
        ring.exec(50, area=b"rea", total=8),
        ring.args(50, 3, b"", flags=records.ARGS_UNREADABLE),
    )
    (launch,) = batch.process
    assert launch.argv == ["rea"]
    assert launch.argv_truncated


def test_exit_and_new_exec_give_out_what_waits(decode, ring):
    part = ring.exec(50, area=b"a\0" * 10, total=50_000)
    first, second = decode(part, ring.exit(50)).process
    assert (first.activity_id, second.activity_id) == (LAUNCH, TERMINATE)
    assert first.argv_truncated
    cut, whole = decode(part, ring.exec(50, area=b"b\0")).process
    assert cut.argv_truncated
    assert whole.argv == ["b"]


def test_relative_name_is_mended_from_proc(decode, ring, proc):
    proc.add(50, start_ticks=100, exe="/opt/tool")
    (launch,) = decode(ring.exec(50, b"./tool\0", flags=records.PATH_IS_FILENAME)).process
    assert launch.exe == "/opt/tool"
    (launch,) = decode(ring.exec(51, b"./tool\0", flags=records.PATH_IS_FILENAME)).process
    assert launch.exe == "./tool"


def test_connect_listen_and_accept_joined_to_the_listener(decode, ring, state):
    batch = decode(
        ring.exec(70, b"nginx\0sbin\0usr\0", b"nginx\0", comm=b"nginx", uid=33, cgroup=77),
        ring.sock(records.LISTEN, "0.0.0.0", 80, "0.0.0.0", pid=70, comm=b"nginx", uid=33),
        ring.exec(71, b"curl\0bin\0", b"curl\0", comm=b"curl"),
        ring.sock(records.CONNECT, "127.0.0.1", 0, "127.0.0.1", 80, pid=71, comm=b"curl"),
        ring.connected(40000),
        ring.sock(records.ACCEPT, "127.0.0.1", 80, "127.0.0.1", 40000),
    )
    listen, connect, accept = batch.network
    assert (listen.activity_id, listen.direction, listen.owner) == (LISTEN, "listen", "hook")
    assert (listen.src_ip, listen.src_port, listen.dst_ip, listen.dst_port) == (
        "0.0.0.0",
        80,
        "",
        0,
    )
    assert (connect.activity_id, connect.direction, connect.pid) == (OPEN, "outbound", 71)
    assert (connect.exe, connect.src_port, connect.dst_port) == ("/bin/curl", 40000, 80)
    assert (accept.direction, accept.owner, accept.pid) == ("inbound", "listener", 70)
    assert (accept.name, accept.exe, accept.uid) == ("nginx", "/usr/sbin/nginx", 33)
    assert (accept.src_port, accept.dst_port, accept.protocol) == (80, 40000, "tcp")


def test_connect_that_nobody_answers_is_told_without_its_port(decode, ring, clock):
    assert len(decode(ring.sock(records.CONNECT, dport=81, pid=71)).network) == 0
    clock.pass_s(2)
    batch = Batch()
    decode.decoder.flush(batch)
    (connect,) = batch.network
    assert (connect.src_port, connect.dst_port, connect.pid) == (0, 81, 71)
    assert len(decode(ring.connected(40000)).network) == 0


def test_a_socket_that_connects_again_gives_out_its_first_try(decode, ring):
    batch = decode(
        ring.sock(records.CONNECT, dport=81, pid=71),
        ring.sock(records.CONNECT, dport=82, pid=71),
        ring.connected(40000),
    )
    assert [(c.dst_port, c.src_port) for c in batch.network] == [(81, 0), (82, 40000)]


def test_a_bound_socket_need_not_wait(decode, ring):
    batch = decode(ring.sock(records.CONNECT, sport=5000, dport=81, pid=71), ring.connected(5000))
    assert [c.src_port for c in batch.network] == [5000]


def test_waiting_connects_are_bounded(decode, ring, monkeypatch):
    monkeypatch.setattr(decode_module, "MOST_CONNECTING", 10)
    batch = decode(*(ring.sock(records.CONNECT, pid=71, socket_id=n) for n in range(25)))
    assert len(batch.network) == 15


def test_accept_in_another_namespace_is_not_joined(decode, ring):
    batch = decode(
        ring.exec(70),
        ring.sock(records.LISTEN, "0.0.0.0", 80, "0.0.0.0", pid=70, netns=1),
        ring.sock(records.ACCEPT, "127.0.0.1", 80, "127.0.0.1", 40000, netns=2),
    )
    accept = batch.network[1]
    assert (accept.pid, accept.owner, accept.netns) == (0, "", 2)


def test_accept_on_ipv6_wildcard_from_ipv4(decode, ring):
    batch = decode(
        ring.exec(70),
        ring.sock(records.LISTEN, "::", 80, "::", pid=70),
        ring.sock(records.ACCEPT, "::ffff:10.0.0.1", 80, "::ffff:10.0.0.2", 40000),
    )
    accept = batch.network[1]
    assert (accept.pid, accept.src_ip, accept.dst_ip) == (70, "10.0.0.1", "10.0.0.2")


def test_self_through_exec_and_fork(decode, ring, state):
    state.processes.put(Process(90, SECOND // 2, 1))
    state.processes.set_self_roots([90])
    batch = decode(
        ring.exec(91, ppid=90, parent_start=SECOND // 2),
        ring.exec(92, ppid=91, parent_start=SECOND),
        ring.sock(records.CONNECT, sport=7, dport=1, pid=93, ppid=92, comm=b"forked"),
        ring.exec(94, ppid=1),
        ring.exit(92, ppid=91),
    )
    assert [p.is_self for p in batch.process] == [True, True, False, True]
    assert batch.network[0].is_self


@pytest.mark.parametrize(
    "make",
    [
        lambda r: r.exec(5)[:10],
        lambda r: r.exec(5)[:60],
        lambda r: r.exec(5, size=20),
        lambda r: r.exec(5, size=1 << 31),
        lambda r: r.exec(5, size=0),
        lambda r: r.exec(5, path_len=1 << 30),
        lambda r: r.exec(5, args_len=5000),
        lambda r: r.exec(5, total=3),
        lambda r: r.exit(5)[:40],
        lambda r: b"\x63\0" + r.exit(5)[2:],
        lambda _: bytes(64),
    ],
)
def test_records_that_cannot_be(decode, ring, make):
    with pytest.raises(BadWire, match="sensor ring"):
        decode(make(ring))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.integers(1, 7))
def test_any_bytes_give_events_or_bad_wire(decode, data, kind):
    try:
        decode(kind.to_bytes(2, "little") + data)
    except BadWire:
        return


def test_argument_areas_that_wait_are_bounded_together(decode, ring, monkeypatch):
    monkeypatch.setattr(decode_module, "MOST_PENDING", 25_000)
    parts = [ring.exec(50 + n, area=b"a" * 10_000, total=50_000) for n in range(4)]
    batch = decode(*parts)
    assert [p.pid for p in batch.process] == [50, 51]
    assert all(p.argv_truncated for p in batch.process)
