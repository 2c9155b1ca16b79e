"""Agents of all tenants: enrolment, rotation, revocation, beats, clone detection."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.engine import RowMapping

from hauberk import signing
from hauberk.errors import Conflict, Forbidden, NotFound, Unauthenticated
from hauberk.link import token as tokens
from hauberk.link.gateway.identity import Cloned, Peer
from hauberk.ports import Clock
from hauberk.schema.ids import agent_id, uuid_from
from hauberk.schema.link import (
    Beat,
    BeatReply,
    EnrolReply,
    EnrolRequest,
    RotateReply,
    RotateRequest,
)
from hauberk.store import alarms, audit, beats, desired, ledger, tasks
from hauberk.store.agents_words import MAX_TEXT, check, facts_of, json_of
from hauberk.store.database import after_commit, read, write
from hauberk.store.keys import AGENT_DAYS, Keys, agent_key_of
from hauberk.store.tables import agent, enrolment, workload

# A new certificate is asked for when a third of its life is left.
_ROTATE_NS = AGENT_DAYS * 86_400 * 1_000_000_000 // 3


def secret_hash(secret: bytes) -> str:
    """How the enrolment table keeps a token's secret (32 random bytes: no slow hash needed)."""
    return hashlib.sha256(b"hauberk-enrol\0" + secret).hexdigest()


class Agents:
    """The agents of every tenant.

    `on_change(tenant, workload, agent)` is called after an agent's identity or state changed, so
    that caches forget it and the console hears of it; `on_alarm(tenant, workload)` after its alarms
    did.
    """

    def __init__(
        self,
        engine: Engine,
        keys: Keys,
        clock: Clock,
        *,
        on_change: Callable[[str, str, str], None] = lambda _tenant, _workload, _agent: None,
        on_alarm: Callable[[str, str], None] = lambda _tenant, _workload: None,
    ) -> None:
        self.engine, self.keys, self.clock = engine, keys, clock
        self.on_change, self.on_alarm = on_change, on_alarm

    def invite(
        self, tenant: str, *, url: str, note: str = "", ttl_s: int = 86_400, created_by: str
    ) -> tuple[str, str, int]:
        """Make a one-time enrolment token.

        Args:
            tenant: the agent will belong to it.
            url: address of the gateway as agents reach it.
            note: for people.
            ttl_s: seconds until it expires.
            created_by: who asked.

        Returns:
            (enrolment id, token text: shown once and not stored, wall-clock ns of expiry)
        """
        secret = secrets.token_bytes(32)
        now = self.clock.wall_ns()
        row = {
            "id": uuid_from(secrets.token_bytes(16)),
            "tenant": tenant,
            "secret_hash": secret_hash(secret),
            "note": note,
            "created_by": created_by,
            "created_ns": now,
            "expires_ns": now + ttl_s * 1_000_000_000,
        }
        with write(self.engine) as db:
            db.execute(insert(enrolment).values(row))
        text = tokens.EnrolToken(url, self.keys.ca_sha256, secret).text()
        return str(row["id"]), text, now + ttl_s * 1_000_000_000

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Redeem a token: a new agent on a new workload.

        Raises:
            BadWire: the token or certificate request is damaged.
            Forbidden: unknown, used or expired token.
            Conflict: this key is enrolled already.
        """
        secret = tokens.parse(request.token).secret
        public = agent_key_of(request.csr)
        raw = signing.raw_public(public)
        name = agent_id(raw)
        now = self.clock.wall_ns()
        home = uuid_from(secrets.token_bytes(16))
        facts = facts_of(request.facts)
        with write(self.engine) as db:
            tenant, invitation = _redeem(db, secret, name, now)
            if db.execute(select(agent.c.id).where(agent.c.id == name)).first():
                raise Conflict("this key was enrolled before: make a new key and enrol with that")
            pem, serial, end = self.keys.agent_certificate(public, name, now_ns=now)
            db.execute(
                insert(workload).values(
                    tenant=tenant,
                    id=home,
                    hostname=facts.hostname,
                    site=request.site[:MAX_TEXT],
                    facts=json_of(facts),
                    created_ns=now,
                )
            )
            db.execute(
                insert(agent).values(
                    id=name,
                    tenant=tenant,
                    workload=home,
                    public_key=raw,
                    version=request.version[:MAX_TEXT],
                    certificate_serial=serial,
                    certificate_expires_ns=end,
                    enrolled_ns=now,
                )
            )
            audit.add(
                db,
                tenant=tenant,
                at_ns=now,
                actor=f"enrolment:{invitation}",
                action="agent.enrol",
                target=name,
                detail={"workload": home, "hostname": facts.hostname, "outcome": "done"},
            )
        self.on_change(tenant, home, name)
        return EnrolReply(
            agent=name,
            workload=home,
            certificate=pem,
            ca=self.keys.ca_pem,
            task_key=self.keys.task_public,
            task_key_id=self.keys.task_key_id,
            tenant=tenant,
            release_key=self.keys.release_public,
        )

    def peer(self, name: str, serial: str) -> Peer:
        """The agent behind a certificate that TLS accepted (`link.gateway.identity.Lookup`).

        Using a rotated certificate for the first time retires the former one.

        Raises:
            Unauthenticated: unknown agent, or a certificate that was replaced.
            Forbidden: the agent is revoked.
            Cloned: its key is in use on two machines.
        """
        with read(self.engine) as db:
            row = db.execute(select(agent).where(agent.c.id == name)).mappings().first()
        if row is None:
            raise Unauthenticated("this agent is unknown here: enrol it")
        if row["state"] == "cloned":
            raise Cloned("two machines use this agent's key: enrol each of them anew")
        if row["state"] != "active":
            raise Forbidden("this agent was revoked: enrol it anew")
        key = row["public_key"]
        if serial != row["certificate_serial"]:
            if not row["next_serial"] or serial != row["next_serial"]:
                raise Unauthenticated("this certificate was replaced by a newer one: enrol anew")
            key = row["next_public_key"]
            self._promote(name, serial)
            # Caches still know the certificate that was replaced.
            self.on_change(row["tenant"], row["workload"], name)
        public = Ed25519PublicKey.from_public_bytes(key)
        return Peer(row["tenant"], row["workload"], name, serial, public)

    def rotate(self, peer: Peer, request: RotateRequest) -> RotateReply:
        """Certify a new key of the same agent; the old one counts until the new one is used.

        Raises:
            Refused: the old key does not vouch for the request.
            BadWire: no certificate request.
        """
        signing.verify(peer.key, "rotate", request.csr, request.proof)
        public = agent_key_of(request.csr)
        now = self.clock.wall_ns()
        pem, serial, end = self.keys.agent_certificate(public, peer.agent, now_ns=now)
        with write(self.engine) as db:
            db.execute(
                update(agent)
                .where(agent.c.id == peer.agent, agent.c.tenant == peer.tenant)
                .values(
                    next_serial=serial,
                    next_public_key=signing.raw_public(public),
                    next_expires_ns=end,
                )
            )
        return RotateReply(
            certificate=pem,
            ca=self.keys.ca_pem,
            task_key=self.keys.task_public,
            task_key_id=self.keys.task_key_id,
        )

    def revoke(self, tenant: str, name: str) -> None:
        """End an agent's identity at once. Raises NotFound."""
        with write(self.engine) as db:
            row = db.execute(
                update(agent)
                .where(agent.c.tenant == tenant, agent.c.id == name)
                .values(state="revoked", next_serial="", next_public_key=None)
                .returning(agent.c.workload)
            ).first()
        if row is None:
            raise NotFound(f"no agent {name} in this tenant")
        home = row[0]
        after_commit(self.engine, lambda: self.on_change(tenant, home, name))

    def beat(self, peer: Peer, beat: Beat) -> BeatReply:
        """Take a sign of life; answer with what the agent should do.

        Raises:
            Cloned: an earlier instance of this agent is back while another one took over.
            BadWire: absurd values.
        """
        check(beat)
        now = self.clock.wall_ns()
        with write(self.engine) as db:
            row = beats.hear(db, peer.agent, now_ns=now)
            if row["state"] == "revoked":
                raise Forbidden("this agent was revoked: enrol it anew")
            cloned = row["state"] == "cloned" or beats.is_clone(db, row, beat.instance, now)
            if cloned:
                db.execute(update(agent).where(agent.c.id == peer.agent).values(state="cloned"))
                audit.add(
                    db,
                    tenant=peer.tenant,
                    at_ns=now,
                    actor=f"agent:{peer.agent}",
                    action="agent.cloned",
                    target=peer.agent,
                    detail={"workload": peer.workload, "outcome": "refused"},
                )
            else:
                beats.record(db, peer, beat, now)
                ledger.record(db, peer.tenant, peer.workload, peer.agent, beat.ledger, now_ns=now)
                self._alarms(db, peer, row, beat, now)
                orders = tasks.pending(db, peer.agent, now_ns=now) if row["ordered"] else []
                document = None
                if row["desired_version"] != beat.desired_version:
                    document = desired.for_agent(db, self.keys, peer, beat.desired_version)
        if cloned:
            after_commit(
                self.engine, lambda: self.on_change(peer.tenant, peer.workload, peer.agent)
            )
            raise Cloned("two machines use this agent's key: enrol each of them anew")
        rotate = row["certificate_expires_ns"] - now < _ROTATE_NS
        return BeatReply(
            tasks=orders,
            desired=document,
            resync=bool(row["resync"]),
            rotate=rotate,
            server_ns=now,
        )

    def _alarms(self, db: Connection, peer: Peer, row: RowMapping, beat: Beat, now: int) -> None:
        """`row` is of before this beat."""
        told = alarms.bounded(beat.alarms)
        text = alarms.text_of(told)
        # An agent of a former version never says goodbye.
        says = row["package_state"] != "null" or row["budget_state"] != "null"
        former = row["instance"] not in ("", beat.instance) and row["boot"] == beat.boot
        died = says and former and not row["goodbye"]
        if died:
            alarms.killed(db, peer, last_ns=row["last_beat_ns"] or now, now_ns=now)
        if text != row["alarms"]:
            alarms.told(db, peer, told, now_ns=now)
            db.execute(update(agent).where(agent.c.id == peer.agent).values(alarms=text))
        if died or text != row["alarms"]:
            after_commit(self.engine, lambda: self.on_alarm(peer.tenant, peer.workload))

    def _promote(self, name: str, serial: str) -> None:
        with write(self.engine) as db:
            db.execute(
                update(agent)
                .where(agent.c.id == name, agent.c.next_serial == serial)
                .values(
                    certificate_serial=agent.c.next_serial,
                    public_key=agent.c.next_public_key,
                    certificate_expires_ns=agent.c.next_expires_ns,
                    next_serial="",
                    next_public_key=None,
                    next_expires_ns=None,
                )
            )


def _redeem(db: Connection, secret: bytes, name: str, now: int) -> tuple[str, str]:
    """(tenant, enrolment) of an unused token, which is used now. Raises Forbidden."""
    row = (
        db.execute(select(enrolment).where(enrolment.c.secret_hash == secret_hash(secret)))
        .mappings()
        .first()
    )
    if row is None:
        raise Forbidden("this enrolment token is unknown here: make a new one on this server")
    if row["used_ns"] is not None:
        raise Forbidden("this enrolment token was used already: make a new one")
    if row["expires_ns"] <= now:
        raise Forbidden("this enrolment token has expired: make a new one")
    db.execute(
        update(enrolment).where(enrolment.c.id == row["id"]).values(used_ns=now, used_by=name)
    )
    return str(row["tenant"]), str(row["id"])
