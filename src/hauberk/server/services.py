"""What the gateway asks of the stores, and what the console hears of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import BinaryIO

from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import (
    Beat,
    BeatReply,
    EnrolReply,
    EnrolRequest,
    RotateReply,
    RotateRequest,
    TaskResult,
)
from hauberk.schema.view import Notice
from hauberk.server.beats import Beats
from hauberk.store import tasks
from hauberk.store.agents import Agents
from hauberk.store.database import after_commit
from hauberk.store.keys import Keys
from hauberk.store.packages import Packages

Publish = Callable[[str, Notice], None]
_MS = 1_000_000


class GatewayServices:
    """`link.gateway.app.Services` over the stores."""

    def __init__(
        self,
        agents: Agents,
        keys: Keys,
        packages: Packages,
        *,
        publish: Publish,
        named: Callable[[str, str, str], None],
    ) -> None:
        """`named(tenant, workload, hostname)` hears what each beat says."""
        self._agents, self._keys, self._packages = agents, keys, packages
        self._publish, self._named = publish, named
        self._beats = Beats(agents.engine, self._take, agents.clock)

    def close(self) -> None:
        """Answer the beats that wait."""
        self._beats.close()

    def ca_pem(self) -> bytes:
        """The CA certificate."""
        return self._keys.ca_pem

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Redeem a token."""
        return self._agents.enrol(request)

    def rotate(self, peer: Peer, request: RotateRequest) -> RotateReply:
        """Certify a new key."""
        return self._agents.rotate(peer, request)

    def beat(self, peer: Peer, beat: Beat) -> Future[BeatReply]:
        """Take a sign of life and tell the console; answered once it is committed."""
        return self._beats.submit(peer, beat)

    def result(self, peer: Peer, result: TaskResult) -> None:
        """Take a task's answer and tell the console."""
        now = self._agents.clock.wall_ns()
        if tasks.finish(self._agents.engine, peer, result, now_ns=now):
            for topic in ("tasks", "runs"):
                self._publish(peer.tenant, self._notice(topic, peer.workload))

    def package(self, peer: Peer, sha256: str) -> tuple[BinaryIO, int]:
        """The package that this agent is to run."""
        return self._packages.open_wanted(peer, sha256)

    def install(self, sha256: str) -> tuple[BinaryIO, int]:
        """A package for a machine that has none yet."""
        return self._packages.open_known(sha256)

    def _take(self, peer: Peer, beat: Beat) -> BeatReply:
        reply = self._agents.beat(peer, beat)

        def told() -> None:
            self._named(peer.tenant, peer.workload, beat.facts.hostname)
            self._publish(peer.tenant, self._notice("agents", peer.workload))

        after_commit(self._agents.engine, told)
        return reply

    def _notice(self, topic: str, workload: str) -> Notice:
        at_ms = self._agents.clock.wall_ns() // _MS
        return Notice(topic=topic, at_ms=at_ms, workload=workload)
