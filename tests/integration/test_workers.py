"""Servers and workers as real processes over PostgreSQL and NATS, some of them killed."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import natskit
import pytest
from serverkit import Agent, events, free_port, snapshot
from storekit import item
from workerkit import Deployment, eventually, readyz, stream

from hauberk.assets import software_os_package
from hauberk.errors import HauberkError
from hauberk.link.client.transport import GatewayRefused
from hauberk.store.nats_inbox import NatsInbox
from hauberk.store.nats_link import NatsLink, servers_of

Package = software_os_package.COLLECTOR.struct
SUBCLASS = "software.os_package"
ROWS = 5
Key = tuple[str, str, int, int]


@pytest.fixture(scope="module")
def database(postgres_state: Callable[[], str]) -> Callable[[], str]:
    return postgres_state


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[natskit.Nats]:
    if why := natskit.missing():
        pytest.skip(why)
    with natskit.running(tmp_path / "nats") as one:
        yield one


@pytest.fixture
def deployed(
    tmp_path: Path, nats: natskit.Nats, database: Callable[[], str]
) -> Iterator[Deployment]:
    made = Deployment(tmp_path, nats, database())
    made.serve()
    yield made
    Agent.close_all()
    made.close()


class Load:
    """Agents that send in order, one batch in flight, and note what was acknowledged."""

    def __init__(self, deployed: Deployment, count: int) -> None:
        folder, server = deployed.folder, deployed.servers[0]
        self.agents = [Agent.enrolled(server, folder / f"a{n}") for n in range(count)]
        self.acknowledged: Counter[Key] = Counter()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._send, args=(a,)) for a in self.agents]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()
        assert not self.failed

    def _send(self, agent: Agent) -> None:
        while not self._end.is_set():
            try:
                reply = agent.send(events(ROWS, first=agent.sequence * ROWS))
            except HauberkError as error:
                self.failed.append(error)
                return
            ids = agent.identity.ids.agent
            with self._lock:
                for n in range(ROWS):
                    self.acknowledged[ids, agent.boot, reply.sequence, n] += 1
            time.sleep(0.005)


def shared(deployed: Deployment, count: int) -> bool:
    owners = deployed.owners()
    return len(owners) == deployed.partitions and len(set(owners.values())) == count


def test_partitions_are_shared_and_rebalanced(deployed: Deployment) -> None:
    [first] = deployed.work()
    assert eventually(lambda: shared(deployed, 1))
    [second] = deployed.work()
    assert eventually(lambda: sorted(Counter(deployed.owners().values()).values()) == [2, 2])
    assert set(deployed.owners().values()) == {first.pid, second.pid}
    # Who leaves releases at once: no lease has to run out.
    assert second.stop() == 0
    began = time.monotonic()
    assert eventually(lambda: set(deployed.owners().values()) == {first.pid})
    assert time.monotonic() - began < 3 * deployed.lease_s
    first.stop()
    parts = {p["name"]: p for p in readyz(deployed.servers[0])["parts"]}
    assert "no process consumes partition" in parts["workers"]["message"]


def test_inventory_and_events_reach_the_api_of_the_server(deployed: Deployment) -> None:
    at = f"127.0.0.1:{free_port()}"
    deployed.work(HAUBERK_METRICS=at)
    server = deployed.servers[0]
    agent = Agent.enrolled(server, deployed.folder / "a")
    rows = [Package(manager="dpkg", name="bash", arch="amd64", version="1")]
    agent.send(snapshot(SUBCLASS, rows, epoch=1, kind=Package))
    agent.send(events(3))
    path = f"/assets/{SUBCLASS}?limit=9"
    assert eventually(lambda: server.api("GET", path)["items"])
    assert eventually(lambda: len(server.api("GET", "/events?limit=50")["items"]) == 3)
    assert eventually(deployed.drained)
    assert eventually(lambda: deployed.system()["inbox_items"] == 0)
    figures = httpx.get(f"http://{at}/metrics").text
    assert "hauberk_ingest_lake_rows_total 3.0" in figures
    assert 'hauberk_partition_owned{partition="3"} 1.0' in figures


def test_poison_is_shown_and_the_rest_goes_on(deployed: Deployment) -> None:
    link = NatsLink(servers_of(deployed.nats.url), name="test")
    inbox = NatsInbox(link, partitions=deployed.partitions)
    agent = Agent.enrolled(deployed.servers[0], deployed.folder / "a")
    home = agent.identity.ids.workload
    agent.send(events(2))
    inbox.append([item(b"not an envelope", sequence=9, workload=home)])
    agent.send(events(2, first=2))
    deployed.work(2)
    assert eventually(lambda: sum(deployed.rows().values()) == 4)
    assert eventually(lambda: deployed.system()["poison"] == 2)  # by either consumer
    assert eventually(deployed.drained)
    inbox.close()
    link.close()


@pytest.mark.slow
def test_two_workers_on_one_lease_write_once(deployed: Deployment) -> None:
    """One is paused past its lease, in the middle of its work, and goes on afterwards."""
    one, two = deployed.work(2)
    assert eventually(lambda: shared(deployed, 2))
    load = Load(deployed, 6)
    load.start()
    for paused in (one, two, one):
        time.sleep(1.0)
        paused.signal(signal.SIGSTOP)
        others = {one.pid, two.pid} - {paused.pid}
        assert eventually(lambda others=others: set(deployed.owners().values()) == others)
        time.sleep(1.5)
        paused.signal(signal.SIGCONT)
        assert eventually(lambda: shared(deployed, 2))
    load.stop()
    assert eventually(deployed.drained)
    assert deployed.rows() == load.acknowledged
    assert len(load.acknowledged) > 200


@pytest.mark.slow
def test_workers_and_a_nats_server_are_killed(tmp_path: Path, database: Callable[[], str]) -> None:
    if why := natskit.missing():
        pytest.skip(why)
    with natskit.running(tmp_path / "nats", count=3, sync="always") as nats:
        deployed = Deployment(tmp_path, nats, database())
        try:
            deployed.serve()
            deployed.work(2)
            assert eventually(lambda: shared(deployed, 2))
            load = Load(deployed, 4)
            load.start()
            for round_ in range(6):
                time.sleep(1.5)
                worker = deployed.workers[round_ % 2]
                worker.kill()
                worker.start()
                if round_ == 1:
                    nats.servers[1].kill()
                if round_ == 4:
                    nats.servers[1].start()
            load.stop()
            assert eventually(deployed.drained, 60)
            assert deployed.rows() == load.acknowledged
            assert len(load.acknowledged) > 200
        finally:
            Agent.close_all()
            deployed.close()


def test_servers_hear_of_each_other(deployed: Deployment) -> None:
    """An agent that one server revokes is refused by the other at once, its stream is told."""
    first, second = deployed.servers[0], deployed.serve(consume=True)
    agent = Agent.enrolled(second, deployed.folder / "a")
    agent.send(events(1))
    with stream(second, "agents,events") as heard:
        other = Agent.enrolled(first, deployed.folder / "b")

        # What the first server gets, a reader of the second one sees.
        def seen() -> bool:
            other.send(events(1, name="elsewhere"))
            return any("elsewhere" in text for text in heard)

        assert eventually(seen)
    ids = agent.identity.ids
    agent.send(events(1))
    first.api("POST", f"/agents/{ids.agent}/revoke")
    time.sleep(0.5)  # far below the time that an identity is remembered
    with pytest.raises(GatewayRefused):
        agent.send(events(1))


def test_without_nats_the_rest_goes_on(deployed: Deployment) -> None:
    server = deployed.servers[0]
    agent = Agent.enrolled(server, deployed.folder / "a")
    agent.send(events(1))
    deployed.nats.servers[0].kill()
    assert server.api("GET", "/workloads")["items"]
    assert agent.beat()
    assert eventually(lambda: not readyz(server)["ok"])
    deployed.nats.servers[0].start()
    deployed.nats.wait()
    agent.send(events(1))
    deployed.work()
    assert eventually(lambda: sum(deployed.rows().values()) == 2)
