from __future__ import annotations

import pytest
from storekit import FACTS, Kit, beat

from hauberk.errors import NotFound
from hauberk.schema.link import TaskResult
from hauberk.schema.view import Notice
from hauberk.server.services import GatewayServices
from hauberk.store import tasks


def test_the_console_hears_of_beats_and_answers(kit: Kit) -> None:
    heard: list[tuple[str, Notice]] = []
    named: list[tuple[str, str, str]] = []
    services = GatewayServices(
        kit.agents,
        kit.keys,
        kit.packages,
        publish=lambda t, n: heard.append((t, n)),
        named=lambda *args: named.append(args),
    )
    peer = kit.peer("other")
    assert services.beat(peer, beat()).result(5).server_ns == kit.clock.wall
    assert named == [("other", peer.workload, FACTS.hostname)]
    made = tasks.create(
        kit.engine, kit.keys, kit.clock, "other", peer.workload,
        kind="collect", args={}, ttl_s=60, created_by="x",
    )  # fmt: skip
    services.result(peer, TaskResult(task=made[0], outcome="done"))
    services.result(peer, TaskResult(task=made[0], outcome="done"))
    assert [(t, n.topic, n.workload) for t, n in heard] == [
        ("other", "agents", peer.workload),
        ("other", "tasks", peer.workload),
        ("other", "runs", peer.workload),
    ]
    with pytest.raises(NotFound):
        services.result(peer, TaskResult(task="none", outcome="done"))
    assert services.ca_pem() == kit.keys.ca_pem
    services.close()
