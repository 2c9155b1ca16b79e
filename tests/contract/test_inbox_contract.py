"""The inbox in a SQLite file and on a real NATS server: the same promises."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import natskit
import pytest
from storekit import eventually, item

from hauberk.errors import BadInput, Busy, Conflict, Unreachable
from hauberk.ports import Inbox, InboxItem, Log
from hauberk.store import nats_inbox, nats_link
from hauberk.store.inbox import SqliteInbox
from hauberk.store.nats_inbox import NatsInbox
from hauberk.store.nats_link import NatsLink, servers_of

Open = Callable[..., Inbox]


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[natskit.Nats]:
    if why := natskit.missing():
        pytest.skip(why)
    with natskit.running(tmp_path_factory.mktemp("nats")) as server:
        yield server


def wipe(link: NatsLink) -> None:
    async def gone() -> None:
        for info in await link.js.streams_info():
            await link.js.delete_stream(str(info.config.name))

    link.call(gone())


@pytest.fixture(params=["sqlite", "nats"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the inbox; again is another process with the same contents."""
    inboxes: list[Inbox] = []
    links: list[NatsLink] = []

    def file(**limits: int) -> Inbox:
        inboxes.append(SqliteInbox(tmp_path / "inbox.db", **limits))
        return inboxes[-1]

    def streams(**limits: int) -> Inbox:
        links.append(NatsLink(servers_of(server.url), name="test"))
        inboxes.append(NatsInbox(links[-1], partitions=2, **limits))
        return inboxes[-1]

    if request.param == "sqlite":
        yield file
    else:
        server = request.getfixturevalue("nats_server")
        yield streams
    for inbox in inboxes:
        inbox.close()
    if links:
        wipe(links[-1])
    for link in links:
        link.close()


def log_of(inbox: Inbox, workload: str = "w") -> Log:
    number = inbox.partition("default", workload) if isinstance(inbox, NatsInbox) else 0
    return inbox.logs[number]


def every(log: Log) -> list[InboxItem]:
    return log.read(0, max_items=10_000, max_bytes=10**9)


def test_what_is_appended_is_read_in_order_with_all_its_fields(opened: Open) -> None:
    inbox = opened()
    sent = [item(b"body %d" % n, sequence=n, tenant="t-1", workload="wörk") for n in (1, 2, 3)]
    positions = [inbox.append([one])[0] for one in sent]
    assert positions == sorted(p for p in positions if p)
    [log] = [log for log in inbox.logs if log.last]
    found = every(log)
    assert [one.position for one in found] == positions
    for before, after in zip(sent, found, strict=True):
        for name in ("tenant", "workload", "agent", "boot", "sequence", "received_ns", "body"):
            assert getattr(before, name) == getattr(after, name)
    assert log.last == positions[-1]
    assert [one.sequence for one in log.read(positions[0] or 0, max_items=1, max_bytes=99)] == [2]


def test_a_repetition_is_known_and_other_bytes_are_refused(opened: Open) -> None:
    inbox = opened()
    assert inbox.append([item(b"one")])[0]
    assert inbox.append([item(b"one")]) == [None]
    with pytest.raises(Conflict, match="came before with other bytes"):
        inbox.append([item(b"two")])
    again = opened()
    assert again.append([item(b"one")]) == [None]
    with pytest.raises(Conflict):
        again.append([item(b"two")])
    assert [one.body for one in every(log_of(again))] == [b"one"]


def test_a_repetition_is_known_after_it_was_trimmed(opened: Open) -> None:
    inbox = opened()
    [position] = inbox.append([item(b"one")])
    log_of(inbox).trim(position or 0)
    assert inbox.append([item(b"one")]) == [None]
    assert every(log_of(inbox)) == []


def test_names_from_outside_may_hold_anything(opened: Open) -> None:
    inbox = opened()
    evil = InboxItem("t", "w\r\nX: 1", "a\0b", "b\r\n\r\n\u2028", 1, 5, b"\0\r\n")
    inbox.append([evil])
    [found] = [one for log in inbox.logs for one in every(log)]
    assert (found.workload, found.agent, found.boot) == (evil.workload, evil.agent, evil.boot)


def test_workloads_keep_their_order_wherever_they_are(opened: Open) -> None:
    inbox = opened()
    for n in range(1, 21):
        inbox.append([item(b"x", sequence=n, workload=f"w{w}", agent=f"a{w}") for w in range(5)])
    homes: dict[str, set[str]] = {}
    for log in inbox.logs:
        for one in every(log):
            homes.setdefault(one.workload, set()).add(log.id)
        for w in range(5):
            mine = [one.sequence for one in every(log) if one.workload == f"w{w}"]
            assert mine in ([], list(range(1, 21)))
    assert {len(places) for places in homes.values()} == {1}
    assert len(homes) == 5


def test_reads_are_bounded_and_give_at_least_one(opened: Open) -> None:
    inbox = opened()
    for n in (1, 2, 3):
        inbox.append([item(b"x" * 300_000, sequence=n)])
    log = log_of(inbox)
    assert len(log.read(0, max_items=10, max_bytes=1000)) == 1
    assert 1 <= len(log.read(0, max_items=10, max_bytes=700_000)) <= 2
    assert len(log.read(0, max_items=2, max_bytes=10**9)) == 2


def test_trimmed_items_are_gone_and_the_rest_stays(opened: Open) -> None:
    inbox = opened()
    positions = [inbox.append([item(b"x", sequence=n)])[0] or 0 for n in range(1, 6)]
    log = log_of(inbox)
    log.trim(positions[2])
    assert [one.sequence for one in every(log)] == [4, 5]
    assert eventually(lambda: inbox.depth()[0] == 2)
    log.trim(positions[4])
    assert eventually(lambda: inbox.depth() == (0, 0))
    [later] = inbox.append([item(b"y", sequence=6)])
    assert (later or 0) > positions[4]
    assert [one.sequence for one in log.read(positions[4], max_items=9, max_bytes=99)] == [6]


def test_waiting_ends_when_something_comes(opened: Open) -> None:
    inbox, other = opened(), opened() if opened.__name__ == "streams" else None
    log = log_of(inbox)
    began = time.monotonic()
    assert log.wait(log.last, 0.05) is False
    threading.Timer(0.1, lambda: (other or inbox).append([item(b"x")])).start()
    assert log.wait(log.last, 20) is True
    assert time.monotonic() - began < 10


def test_a_deep_inbox_asks_agents_to_wait(opened: Open) -> None:
    inbox = opened(max_items=6)
    numbers = itertools.count(1)

    def fill() -> bool:
        try:
            inbox.append([item(b"x", sequence=next(numbers))])
        except Busy:
            return True
        return False

    assert eventually(fill)
    assert eventually(inbox.wrong)
    stored = every(log_of(inbox))
    log_of(inbox).trim(stored[-1].position)
    assert eventually(lambda: not inbox.wrong())
    inbox.append([item(b"x", sequence=1000)])


def test_nothing_is_taken_once_it_closes_but_reading_goes_on(opened: Open) -> None:
    inbox = opened()
    inbox.append([item(b"x")])
    inbox.close_input()
    with pytest.raises(Busy):
        inbox.append([item(b"y", sequence=2)])
    assert len(every(log_of(inbox))) == 1


def test_many_at_once_are_all_stored_once(opened: Open) -> None:
    inbox = opened()
    assert isinstance(inbox, SqliteInbox | NatsInbox)
    futures = [
        inbox.submit([item(b"x" * 500, sequence=n, workload=f"w{n % 7}", agent=f"a{n % 7}")])
        for n in range(1, 1001)
    ]
    for future in futures:
        assert future.result(60)[0]
    found = [one for log in inbox.logs for one in every(log)]
    assert {one.sequence for one in found} == set(range(1, 1001))
    assert len(found) == 1000


# -- what only NATS can do -------------------------------------------------------------------------


@pytest.fixture
def link(nats_server: natskit.Nats) -> Iterator[NatsLink]:
    made = NatsLink(servers_of(nats_server.url), name="test")
    yield made
    wipe(made)
    made.close()


def test_another_number_of_partitions_is_refused(link: NatsLink) -> None:
    NatsInbox(link, partitions=2).close()
    with pytest.raises(BadInput, match="2 partitions, not 3"):
        NatsInbox(link, partitions=3)


def test_a_stream_made_anew_is_another_log(link: NatsLink) -> None:
    first = NatsInbox(link, partitions=1)
    first.close()
    wipe(link)
    second = NatsInbox(link, partitions=1)
    assert first.logs[0].id != second.logs[0].id
    second.close()


def test_limits_of_the_settings_are_taken_over(link: NatsLink) -> None:
    first = NatsInbox(link, partitions=1, max_items=5)
    first.append([item(b"x")])
    first.close()
    second = NatsInbox(link, partitions=1, max_items=9)
    info = link.call(link.js.stream_info("HAUBERK_INBOX_0"))
    assert (info.config.max_msgs, second.logs[0].id) == (9, first.logs[0].id)
    assert len(every(second.logs[0])) == 1
    second.close()


def test_a_repetition_past_the_window_comes_again(
    link: NatsLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = NatsInbox(link, partitions=1, window_s=0.2)
    assert inbox.append([item(b"x")]) == [1]
    time.sleep(0.6)
    assert inbox.append([item(b"x")]) == [2]
    assert [one.sequence for one in every(inbox.logs[0])] == [1, 1]
    assert inbox.logs[0].repeats
    inbox.close()


def test_a_log_that_lost_its_end_is_told(link: NatsLink) -> None:
    inbox = NatsInbox(link, partitions=1)
    inbox.append([item(b"x")])
    with pytest.raises(Conflict, match="ends at 1"):
        inbox.logs[0].read(7, max_items=1, max_bytes=1)
    inbox.close()


def test_foreign_messages_are_told(link: NatsLink) -> None:
    inbox = NatsInbox(link, partitions=1)
    link.call(link.js.publish("hauberk.inbox.0", b"hello"))
    with pytest.raises(Conflict, match="not of Hauberk"):
        every(inbox.logs[0])
    inbox.close()


def test_wrong_login_and_no_server_are_told(
    nats_server: natskit.Nats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = nats_server.servers[0].port
    with pytest.raises(BadInput, match="refuses the credentials"):
        NatsLink(servers_of(f"nats://hauberk:wrong@127.0.0.1:{port}"), name="test")
    with pytest.raises(BadInput, match="creds"):
        NatsLink(servers_of(nats_server.url), name="test", credentials=str(tmp_path / "creds"))
    monkeypatch.setattr(nats_link, "CONNECT_S", 1.0)
    [free] = natskit._ports(1)
    with pytest.raises(Unreachable):
        NatsLink(servers_of(f"nats://127.0.0.1:{free}"), name="test")


def test_a_killed_server_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_inbox, "_ACK_S", 2.0)
    with natskit.running(tmp_path, sync="always") as nats:
        link = NatsLink(servers_of(nats.url), name="test")
        inbox = NatsInbox(link, partitions=1)
        inbox.append([item(b"x")])
        nats.servers[0].kill()
        with pytest.raises(Unreachable):
            inbox.append([item(b"y", sequence=2)])
        assert eventually(inbox.wrong)
        with pytest.raises(Unreachable):
            every(inbox.logs[0])
        nats.servers[0].start()
        nats.wait()
        assert eventually(lambda: link.connected)
        assert inbox.append([item(b"x")]) == [None]
        inbox.append([item(b"y", sequence=2)])
        assert [one.sequence for one in every(inbox.logs[0])] == [1, 2]
        assert eventually(lambda: not inbox.wrong())
        inbox.close()
        link.close()


def test_a_cluster_loses_nothing_when_one_of_three_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_inbox, "_ACK_S", 2.0)
    with natskit.running(tmp_path, count=3, sync="always") as nats:
        link = NatsLink(servers_of(nats.url), name="test")
        inbox = NatsInbox(link, partitions=2, replicas=3)
        stored: set[int] = set()

        def store(number: int) -> bool:
            try:
                inbox.append([item(b"x", sequence=number, workload=f"w{number % 5}")])
            except (Unreachable, Busy):
                return False
            stored.add(number)
            return True

        for number in range(1, 201):
            if number == 50:
                nats.servers[0].kill()
            if number == 120:
                nats.servers[0].start()
            assert eventually(lambda number=number: store(number), 30)  # type: ignore[misc]

        def read(log: Log) -> list[InboxItem]:
            try:
                return every(log)
            except Unreachable:  # while the servers agree on who leads
                return []

        found = [
            one.sequence
            for log in inbox.logs
            for one in eventually(lambda log=log: read(log), 60)  # type: ignore[misc]
        ]
        assert sorted(found) == sorted(stored) == list(range(1, 201))
        inbox.close()
        link.close()
