"""Wires the agent together and runs it: three threads (events, background, link) and this one."""

from __future__ import annotations

import logging
import os
import random
import secrets
import signal
import sys
import threading
import time
from types import FrameType

import msgspec

import hauberk
from hauberk.agent import containers, lifecycle, process
from hauberk.agent.background import BackgroundLoop
from hauberk.agent.budget import Background, EventPath
from hauberk.agent.desired import DesiredState
from hauberk.agent.events import EventBuffer
from hauberk.agent.guard import Guard
from hauberk.agent.ledger import Ledger
from hauberk.agent.link import OLDER, Gateway, Hooks, LinkLoop, sealer
from hauberk.agent.reporter import Reporter
from hauberk.agent.schedule import Plan
from hauberk.agent.settings import AgentSettings, load
from hauberk.agent.supervise import Supervisor
from hauberk.agent.tasks import TaskGate
from hauberk.agent.updater_thread import LAUNCHED, Upgrades
from hauberk.agent.watch import Source, WatchLoop
from hauberk.errors import HauberkError
from hauberk.host.clock import SystemClock
from hauberk.host.collect import collectors
from hauberk.host.facts import workload_facts
from hauberk.host.live import LiveHost
from hauberk.link.client import enrol
from hauberk.link.client import identity as identities
from hauberk.link.client.files import private_folder
from hauberk.link.client.identity import Identity
from hauberk.link.client.sender import Sender
from hauberk.link.client.spool import Spool
from hauberk.link.client.transport import Transport
from hauberk.schema.link import Beat, Desired, LedgerEntry, Resources, Task

FACTS_EVERY_NS = 300_000_000_000
MEMORY_EVERY_NS = 30_000_000_000
SENSOR_S = 3.0
STOP_S = 10.0
GOODBYE_S = 3.0
AGAIN_S = 10.0
LEAST_SPOOL = 1024 * 1024
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_log = logging.getLogger(__name__)


class Agent:
    """All parts, wired. `run` until `stop` is set."""

    def __init__(self, settings: AgentSettings, identity: Identity) -> None:
        """Open the state below `settings.folder`.

        Raises:
            OSError, BadInput: the state cannot be used.
        """
        self.stop = threading.Event()
        self._settings, self._clock, self._host = settings, SystemClock(), LiveHost()
        self._instance, self._boot = secrets.token_hex(16), process.boot_id()
        self._facts = workload_facts(self._host)
        self._facts_ns = self._memory_ns = self._clock.mono_ns()
        self._memory = process.memory()
        folder = settings.path
        clock, state = self._clock, DesiredState(folder / "desired", identity.ids)
        budget = state.current.budget
        ledger = Ledger(clock, time.thread_time)
        self._spool = Spool(
            folder / "spool",
            boot=self._boot,
            clock=clock,
            max_bytes=max(budget.spool_bytes, LEAST_SPOOL),
        )
        self._desired, self._ledger = state, ledger
        gate = TaskGate(folder / "tasks.json", identity.ids, boot=self._boot, clock=clock)
        self._path = EventPath(budget.event_pct, clock)
        reporter = Reporter(self._spool, ledger, clock)
        self._reporter = reporter
        self._buffer = EventBuffer(
            self._spool,
            self._path,
            ledger,
            clock,
            flush_s=settings.flush_s,
            own_pid=os.getpid(),
            inventory_lost=self._resync,
        )
        self._guard = Guard(folder, budget, self._path, self._buffer, clock)
        self._watch = WatchLoop(
            self._open_sensor,
            self._buffer,
            self._path,
            ledger,
            self.stop,
            tick=self._guard.tick,
            notes=self._guard.notes,
            proven_s=self._guard.canary.age_s,
        )
        found = dict(sorted(collectors().items(), key=lambda c: c[1].every_s))
        defaults = {subclass: c.every_s for subclass, c in found.items()}
        grant = self._grant = Background(
            budget.background_pct,
            os.cpu_count() or 1,
            clock,
            kept=folder / "grant.json",
            boot=self._boot,
        )
        self._background = BackgroundLoop(
            self._host,
            found,
            Plan(defaults, state.current.schedule, random.random),
            grant,
            reporter,
            gate,
            ledger,
            clock,
            self.stop,
            relation_s=settings.relation_s,
            collected=self._collected,
            pressure=self._guard.pressure,
            integrity=self._guard.integrity,
        )
        self._guard.relieve = self._background.relieve
        self._guard.busy = lambda: self._background.busy
        self._identity, self._leaving = identity, "stopped"
        self._upgrades = Upgrades(
            settings,
            clock,
            ledger,
            self.stop,
            identity=lambda: self._identity,
            open_now=lambda: self._background.window_open,
            ready=self._leave_for_upgrade,
            launched=LAUNCHED in os.environ,
        )
        self._upgrades.want(state.current)
        gateway = self._connect(identity)
        sender = Sender(
            self._spool,
            gateway,
            sealer(identity),
            older=sealer(identity, OLDER),
            random=random.random,
            quarantine=folder / "refused",
        )
        self._link = LinkLoop(
            identity,
            self._spool,
            sender,
            gate,
            state,
            ledger,
            clock,
            Hooks(
                beat=self._beat,
                task=self._take_task,
                desired=self._take_desired,
                resync=self._resync,
                rotate=self._rotate,
                identity_changed=self._identity_changed,
                connect=self._connect,
                former=lambda: self._former,
                former_said=self._former_said,
            ),
            gateway=gateway,
            beat_s=settings.beat_s,
            random=random.random,
        )
        self._sensor: Source | None = None
        self._former = lifecycle.kept_goodbye(settings, self._boot)
        self._expires_ns = identity.expires_ns()

    def run(self) -> int:
        """Work until `stop`. Returns 0, or 3 when a thread had to be left behind."""
        supervisor = Supervisor(self.stop, self._crashed)
        self._guard.start()
        if self._settings.sensor:
            supervisor.start("events", self._watch.run)
            self._watch.opened.wait(SENSOR_S)  # the first beat tells the true tier
        else:
            supervisor.start("events", self._flush_only)
        supervisor.start("background", self._run_background)
        supervisor.start("link", self._run_link)
        supervisor.start("upgrade", self._upgrades.run)
        _log.info("agent %s runs, instance %s", self._identity.ids.agent, self._instance)
        self.stop.wait()
        self._spool.wake()
        self._link.abort()
        self._background.ask(None)
        self._upgrades.wake()
        left = supervisor.join(STOP_S)
        self._grant.save()
        self._guard.stop()
        goodbye = self._goodbye()
        lifecycle.keep_goodbye(self._settings, goodbye)
        if left:
            _log.error("stopped, but these threads did not end: %s", ", ".join(left))
            return 3
        self._link.close()
        self._say(goodbye)
        self._spool.close()
        _log.info("agent stopped")
        return 0

    # -- threads ---------------------------------------------------------------------------------

    def _run_background(self) -> None:
        process.quiet_thread()
        self._background.run()

    def _run_link(self) -> None:
        while not self.stop.is_set():
            wait_s = self._link.turn()
            if wait_s > 0:
                if self._link.idle():
                    self._spool.wait(wait_s)
                else:
                    self.stop.wait(wait_s)

    def _flush_only(self) -> None:
        """Without a sensor there are still losses to tell."""
        while not self.stop.wait(1.0):
            self._buffer.turn()
            self._guard.look_at_memory()

    def _open_sensor(self) -> Source:
        from hauberk import sensor  # noqa: PLC0415  native parts only where they are wanted

        source = sensor.open_sensor(self._guard.canary.sink, clock=self._clock)
        source.set_self_roots([os.getpid(), *self._settings.self_pids])
        self._sensor = source
        return source

    def _leave_for_upgrade(self) -> None:
        self._leaving = "upgrade"
        self.stop.set()

    def _goodbye(self) -> Beat:
        """One last beat, so that the server knows this silence from a killed agent's."""
        why = lifecycle.goodbye(self._settings, self._leaving)
        return msgspec.structs.replace(self._beat([], self._desired.current.version), goodbye=why)

    def _say(self, goodbye: Beat) -> None:
        """Now if it can be; else the next start says it."""

        def say() -> None:
            try:
                last = Transport(self._identity, timeout_s=GOODBYE_S)
                last.beat(goodbye)
                last.close()
                lifecycle.goodbye_said(self._settings)
            except HauberkError as error:
                _log.info("goodbye not said: %s", error)

        # Looking up a name knows no timeout, and a stop must not wait for it.
        thread = threading.Thread(target=say, name="goodbye", daemon=True)
        thread.start()
        thread.join(GOODBYE_S)

    # -- what the parts ask ----------------------------------------------------------------------

    def _beat(self, ledger: list[LedgerEntry], desired_version: int) -> Beat:
        now = self._clock.mono_ns()
        if now - self._facts_ns > FACTS_EVERY_NS:
            self._facts, self._facts_ns = workload_facts(self._host), now
        if now - self._memory_ns > MEMORY_EVERY_NS:
            self._memory, self._memory_ns = process.memory(), now
        budget = self._desired.current.budget
        return Beat(
            instance=self._instance,
            boot=self._boot,
            wall_ns=self._clock.wall_ns(),
            mono_ns=now,
            version=hauberk.__version__,
            facts=self._facts,
            sensor=self._watch.health(),
            resources=Resources(
                cpu_s=time.process_time(),
                private_bytes=self._memory[0],
                resident_bytes=self._memory[1],
                spool_bytes=self._spool.pending_bytes,
                spool_dropped=self._spool.dropped_rows,
                background_grant_pct=budget.background_pct,
                event_grant_pct=budget.event_pct,
            ),
            ledger=ledger,
            desired_version=desired_version,
            certificate_expires_ns=self._expires_ns,
            package=self._upgrades.state(),
            budget=self._guard.state(window_open=self._background.window_open),
            alarms=self._guard.alarms(),
        )

    def _former_said(self) -> None:
        self._former = None
        lifecycle.goodbye_said(self._settings)

    def _take_desired(self, desired: Desired) -> None:
        self._path.pct = desired.budget.event_pct
        self._guard.change(desired.budget)
        self._spool.max_bytes = max(desired.budget.spool_bytes, LEAST_SPOOL)
        self._background.ask(desired)
        self._upgrades.want(desired)

    def _take_task(self, task: Task) -> None:
        if task.kind == "cancel":
            self._background.cancel(task)
        else:
            self._background.ask(task)

    def _resync(self) -> None:
        self._reporter.full_next()
        self._background.ask(None)

    def _collected(self, subclass: str) -> None:
        if subclass == containers.SUBCLASS and self._sensor is not None:
            rows = self._reporter.snapshot.get(subclass, [])
            self._sensor.set_containers(containers.names(rows))

    def _rotate(self, identity: Identity, gateway: Gateway) -> Identity:
        renewed = enrol.rotate(self._settings.identity, identity, gateway)
        self._use(renewed)
        return renewed

    def _identity_changed(self, identity: Identity) -> Identity | None:
        if identities.generation(self._settings.identity) == identity.folder.name:
            return None
        other = identities.load(self._settings.identity)
        self._use(other)
        return other

    def _use(self, identity: Identity) -> None:
        self._identity, self._expires_ns = identity, identity.expires_ns()

    def _connect(self, identity: Identity) -> Gateway:
        return Transport(
            identity, timeout_s=self._settings.timeout_s, accepted=self._upgrades.beaten
        )

    def _crashed(self, thread: str, error: str) -> None:
        self._watch.crashed[thread] = error
        if thread == "events":
            self._buffer.source_down("sensor", error)
            self._buffer.flush()


def run(settings: AgentSettings) -> int:
    """Run the agent until SIGTERM or SIGINT. Needs the main thread.

    Returns:
        0 after a clean stop, 3 when a thread had to be left behind.

    Raises:
        NotFound: not enrolled.
        Conflict: another agent runs on this folder.
        BadInput: state or identity is damaged.
    """
    logging.basicConfig(level=settings.log_level, format=LOG_FORMAT)
    process.few_arenas()
    private_folder(settings.path)
    identity = identities.load(settings.identity)
    lock = process.PidFile(settings.pid_file)
    lifecycle.withdraw(settings)  # of an uninstallation that never came to its end
    try:
        agent = Agent(settings, identity)

        def ask_to_stop(number: int, _frame: FrameType | None) -> None:
            _log.info("signal %d: stopping", number)
            agent.stop.set()

        former = {n: signal.signal(n, ask_to_stop) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            return agent.run()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
    finally:
        lock.release()


def main() -> int:
    """As the launcher starts it; the exit status.

    One that fails waits before it ends: what starts it again at once must not eat the machine.
    """
    failed = True
    try:
        code = run(load(os.environ))
        failed = False
    except HauberkError as error:
        sys.stderr.write(f"hauberk agent: {error}\n")
        return 1
    finally:
        if failed:
            time.sleep(AGAIN_S)
    return code


if __name__ == "__main__":
    sys.exit(main())
