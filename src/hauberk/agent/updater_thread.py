"""The updater in a running agent: a quiet thread, its own connection, and what the beat tells."""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from hauberk.agent import process, selftest
from hauberk.agent.ledger import Ledger
from hauberk.agent.settings import AgentSettings
from hauberk.agent.slots import Slots, locate
from hauberk.agent.updater import Updater
from hauberk.link.client.identity import Identity
from hauberk.link.client.transport import Transport
from hauberk.ports import Clock
from hauberk.schema.link import Desired, PackageState

DOWNLOADS = "package"
STATE = "slots.json"
LAUNCHED = "HAUBERK_LAUNCHER"


class Upgrades:
    """Does nothing where the agent does not run from a package's slot, or not by its launcher.

    Without the launcher nothing would start the new package when this process ends for it.
    """

    def __init__(
        self,
        settings: AgentSettings,
        clock: Clock,
        ledger: Ledger,
        stop: threading.Event,
        *,
        identity: Callable[[], Identity],
        open_now: Callable[[], bool],
        ready: Callable[[], None],
        launched: bool = True,
        prefix: Path | None = None,
    ) -> None:
        """Nothing is fetched before `run`.

        Args:
            settings: of the agent.
            clock: monotonic time.
            ledger: charged with what an upgrade costs.
            stop: ends `run`.
            identity: the one of now.
            open_now: whether a maintenance window is open.
            ready: called when the new package should be started.
            launched: whether the launcher (its variable is LAUNCHED) started this process.
            prefix: where the interpreter lies; None: this one's.
        """
        self._settings, self._ledger, self._stop, self._identity = settings, ledger, stop, identity
        self._asked = threading.Event()
        self._transport: Transport | None = None
        self._updater: Updater | None = None
        self._none = "not installed from a package"
        place = locate(prefix or Path(sys.prefix))
        if place is not None and not launched:
            self._none = "not started by hauberk-launch, which would start a new package"
        elif place is not None:
            root, slot = place
            self._updater = Updater(
                Slots(root, settings.path / STATE),
                settings.path / DOWNLOADS,
                running=slot,
                arch=platform.machine(),
                fetch=self._fetch,
                selftest=lambda folder: selftest.in_process(folder, settings),
                ready=ready,
                clock=clock,
                open_now=open_now,
                steady_s=settings.steady_s,
            )

    def want(self, desired: Desired) -> None:
        """Take the package of a desired state. From any thread."""
        if self._updater is not None:
            key = desired.release_key or self._identity().ids.release_key
            self._updater.want(desired.package, key, desired.version)
            self._asked.set()

    def beaten(self) -> None:
        """The server accepted a beat. From any thread."""
        if self._updater is not None:
            self._updater.beaten()

    def state(self) -> PackageState:
        """What the beat tells."""
        if self._updater is None:
            return PackageState(state="none", message=self._none)
        return self._updater.state

    def wake(self) -> None:
        """End a wait: the agent stops."""
        self._asked.set()

    def run(self) -> None:
        """Until the agent stops."""
        if self._updater is None:
            self._stop.wait()
            return
        process.quiet_thread()
        while not self._stop.is_set():
            with self._ledger.measure("upgrade"):
                wait_s = self._updater.turn()
            if wait_s > 0:
                self._hang_up()
                self._asked.wait(wait_s)
                self._asked.clear()
        self._hang_up()

    def _fetch(self, sha256: str, offset: int, limit: int) -> bytes:
        if self._transport is None:
            self._transport = Transport(self._identity(), timeout_s=self._settings.timeout_s)
        return self._transport.package(sha256, offset, limit)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
