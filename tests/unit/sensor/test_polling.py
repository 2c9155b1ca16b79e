from __future__ import annotations

import pytest

from hauberk.sensor.polling import ProcessPoller, SocketPoller
from hauberk.sensor.procfs import ESTABLISHED, TCP_LISTEN
from hauberk.sensor.source import Batch

ANY = ("0.0.0.0", 0)
NET = 4026531840


@pytest.fixture
def look(state, clock):
    def round_of(poller):
        clock.pass_s(state.settings.sockets_every_s)
        batch = Batch()
        assert not poller.drain(batch)
        return batch

    return round_of


def rows(proc, pid, *lines):
    (proc.root / str(pid) / "net/tcp").write_text(proc.NET_HEAD + "".join(lines))


def test_new_listener_and_connections_both_ways(state, proc, look):
    proc.add(3, "web", exe="/bin/web", sockets=[11])
    proc.add(4, "curl", exe="/bin/curl", sockets=[13])
    poller = SocketPoller(state)
    assert len(look(poller)) == 0
    for pid in (3, 4):
        rows(
            proc, pid,
            proc.row(("127.0.0.1", 50000), ("127.0.0.1", 80), ESTABLISHED, 13),
            proc.row(("127.0.0.1", 80), ("127.0.0.1", 50000), ESTABLISHED, 0),
            proc.row(("0.0.0.0", 80), ANY, TCP_LISTEN, 11),
        )  # fmt: skip
    listen, outbound, inbound = look(poller).network
    assert (listen.direction, listen.pid, listen.owner) == ("listen", 3, "poll")
    assert (outbound.direction, outbound.pid, outbound.exe) == ("outbound", 4, "/bin/curl")
    assert (outbound.src_port, outbound.dst_port) == (50000, 80)
    assert (inbound.direction, inbound.pid, inbound.owner) == ("inbound", 3, "listener")
    assert inbound.netns == NET
    assert len(look(poller)) == 0


def test_what_existed_before_is_no_event(state, proc, look):
    proc.add(3, sockets=[11], tcp=proc.row(("0.0.0.0", 80), ANY, TCP_LISTEN, 11))
    assert len(look(SocketPoller(state))) == 0


def test_a_socket_without_an_owner_says_so(state, proc, look):
    proc.add(3)
    poller = SocketPoller(state)
    rows(proc, 3, proc.row(("10.0.0.1", 4000), ("10.0.0.2", 443), ESTABLISHED, 99, uid=33))
    (event,) = look(poller).network
    assert (event.pid, event.owner, event.uid) == (0, "", 33)


def test_nothing_is_looked_at_before_it_is_due(state, proc, clock, look):
    proc.add(3)
    poller = SocketPoller(state)
    look(poller)
    rows(proc, 3, proc.row(("10.0.0.1", 4000), ("10.0.0.2", 443), ESTABLISHED, 99))
    batch = Batch()
    poller.drain(batch)
    assert len(batch) == 0
    assert len(look(poller)) == 1


def test_processes_that_come_go_and_exec(state, proc, look):
    proc.add(3, "sh", exe="/bin/sh")
    poller = ProcessPoller(state)
    assert len(look(poller)) == 0
    proc.add(9, "new", ppid=3, exe="/bin/new", cmdline=b"new\0")
    (launch,) = look(poller).process
    assert (launch.activity_id, launch.pid, launch.argv) == (1, 9, ["new"])
    assert launch.parent_name == "sh"
    proc.remove(9)
    proc.add(9, "other", start_ticks=900, exe="/bin/other")
    end, again = look(poller).process
    assert (end.activity_id, end.exe) == (2, "/bin/new")
    assert (again.activity_id, again.exe) == (1, "/bin/other")
    proc.remove(9)
    (gone,) = look(poller).process
    assert (gone.activity_id, gone.exit_code) == (2, None)
    assert state.processes.get(9) is None
