"""Logins, sessions and API tokens as credentials. A tenant comes from the credential alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from hauberk.errors import Busy, NotFound, Unauthenticated
from hauberk.link.gateway.bounds import network_of
from hauberk.ports import Clock
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.schema.view import (
    Role,
)
from hauberk.store import audit, passwords
from hauberk.store.accounts import TOKEN_PREFIX, Accounts, add_user, ensure_tenant
from hauberk.store.database import read, write
from hauberk.store.tables import api_token, session, tenant, user
from hauberk.store.throttle import Throttle

_S, _MS = 1_000_000_000, 1_000_000
SESSION_S = 12 * 3600
SESSION_MAX_S = 7 * 86_400
MAX_SESSIONS = 50
_TOUCH_S = 60


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session; `token` is the cookie and is stored hashed only."""

    token: str
    csrf: str
    name: str
    tenant: str
    role: Role
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Known:
    """Who a credential belongs to. `key` names the session's row."""

    name: str
    tenant: str
    role: Role
    csrf: str = ""
    expires_ns: int = 0
    key: str = ""


def ensure_admin(engine: Engine, clock: Clock) -> str | None:
    """Make tenant "default" and, when there is no user at all, its admin.

    Returns:
        The admin's password, to be shown once; None when users exist.
    """
    password = passwords.generate()
    hashed = passwords.hash_password(password)
    now = clock.wall_ns()
    with write(engine) as db:
        ensure_tenant(db, DEFAULT_TENANT, "Default", now)
        if db.execute(select(func.count()).select_from(user)).scalar_one():
            return None
        add_user(db, DEFAULT_TENANT, "admin", "admin", hashed, now)
        audit.add(
            db,
            tenant=DEFAULT_TENANT,
            at_ns=now,
            actor="server",
            action="user.create",
            target="admin",
            detail={"role": "admin", "outcome": "done"},
        )
    return password


def reset(engine: Engine, clock: Clock, tenant_id: str, name: str, *, actor: str) -> str:
    """Give a user a new password, enable them and end their sessions; returns the password.

    Raises:
        NotFound: no such user.
    """
    password = passwords.generate()
    hashed = passwords.hash_password(password)
    with write(engine) as db:
        where = (user.c.tenant == tenant_id) & (user.c.name == name)
        row = db.execute(
            update(user)
            .where(where)
            .values(password_hash=hashed, disabled=False)
            .returning(user.c.id)
        ).first()
        if row is None:
            raise NotFound(f"no user {name!r} in tenant {tenant_id!r}; `hauberk users` lists them")
        db.execute(delete(session).where(session.c.user_id == row[0]))
        audit.add(
            db,
            tenant=tenant_id,
            at_ns=clock.wall_ns(),
            actor=actor,
            action="user.reset",
            target=name,
            detail={"outcome": "done"},
        )
    return password


class Access(Accounts):
    """What the API asks about people and their credentials. Safe for several threads."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        session_s: int = SESSION_S,
        session_max_s: int = SESSION_MAX_S,
    ) -> None:
        self.session_s = session_s
        self._max_s = session_max_s
        super().__init__(engine, clock)
        # A name is slowed briefly, so that nobody can lock its owner out; a client for longer.
        self._names = Throttle(clock, free=5, longest_s=30)
        self._clients = Throttle(clock, free=20, longest_s=900)

    def log_in(self, name: str, password: str, *, client: str) -> Opened:
        """Check a password and open a session.

        Args:
            name: `user` (tenant "default") or `user@tenant`.
            password: as typed.
            client: address of the peer, for throttling.

        Raises:
            Unauthenticated: wrong name or password; which one is not told.
            Busy: too many failures: wait.
        """
        who, _, home = name.partition("@")
        home = home or DEFAULT_TENANT
        key = f"{who[:80]}@{home[:80]}"
        network = network_of(client)
        self._clients.attempt(network)
        try:
            self._names.attempt(key)
        except Busy:
            self._clients.undo(network)
            raise
        with read(self._engine) as db:
            found = (
                db.execute(select(user).where(user.c.tenant == home, user.c.name == who))
                .mappings()
                .first()
            )
        try:
            good = passwords.verify(None if found is None else found["password_hash"], password)
        except Busy:
            self._names.undo(key)
            self._clients.undo(network)
            raise
        if not good or found is None or found["disabled"]:
            self._note_failure(home, who, client)
            raise Unauthenticated("wrong name or password; another tenant's user is user@tenant")
        self._names.succeed(key)
        self._clients.undo(network)
        return self._open(found, client)

    def _open(self, found: RowMapping, client: str) -> Opened:
        now = self._clock.wall_ns()
        token, csrf = passwords.new_secret(), secrets.token_urlsafe(24)
        expires = now + self.session_s * _S
        mine = session.c.user_id == found["id"]
        with write(self._engine) as db:
            db.execute(delete(session).where(session.c.expires_ns <= now))
            old = select(session.c.token_hash).where(mine).order_by(session.c.created_ns.desc())
            surplus = db.execute(old.offset(MAX_SESSIONS - 1)).scalars().all()
            if surplus:
                db.execute(delete(session).where(session.c.token_hash.in_(surplus)))
            db.execute(
                insert(session).values(
                    token_hash=passwords.digest(token),
                    tenant=found["tenant"],
                    user_id=found["id"],
                    csrf=csrf,
                    created_ns=now,
                    expires_ns=expires,
                    client=client[:100],
                )
            )
            db.execute(update(user).where(user.c.id == found["id"]).values(last_login_ns=now))
            audit.add(
                db,
                tenant=found["tenant"],
                at_ns=now,
                actor=f"session:{found['name']}",
                action="session.open",
                target=found["name"],
                detail={"client": client[:100], "outcome": "done"},
            )
        return Opened(token, csrf, found["name"], found["tenant"], found["role"], expires)

    def _note_failure(self, home: str, who: str, client: str) -> None:
        with write(self._engine) as db:
            if db.execute(select(tenant.c.id).where(tenant.c.id == home)).first() is None:
                return
            audit.add(
                db,
                tenant=home,
                at_ns=self._clock.wall_ns(),
                actor="anonymous",
                action="session.open",
                target=who[:80],
                detail={"client": client[:100], "outcome": "refused"},
            )

    def log_out(self, key: str) -> None:
        """End the session with this key; tokens have none."""
        with write(self._engine) as db:
            db.execute(delete(session).where(session.c.token_hash == key))

    def by_session(self, token: str) -> Known | None:
        """Who this cookie belongs to; moves the expiry on."""
        key, now = passwords.digest(token), self._clock.wall_ns()
        query = (
            select(session, user.c.name, user.c.role)
            .join(user, user.c.id == session.c.user_id)
            .where(session.c.token_hash == key, user.c.disabled.is_(False))
        )
        with read(self._engine) as db:
            row = db.execute(query).mappings().first()
        if row is None or row["expires_ns"] <= now:
            return None
        expires = min(now + self.session_s * _S, row["created_ns"] + self._max_s * _S)
        if expires <= now:
            return None
        if expires - row["expires_ns"] > _TOUCH_S * _S:
            with write(self._engine) as db:
                db.execute(
                    update(session).where(session.c.token_hash == key).values(expires_ns=expires)
                )
        else:
            expires = row["expires_ns"]
        return Known(row["name"], row["tenant"], row["role"], row["csrf"], expires, key)

    def by_token(self, token: str) -> Known | None:
        """Who this API token belongs to; notes its use once a minute."""
        if not token.startswith(TOKEN_PREFIX):
            return None
        now = self._clock.wall_ns()
        where = api_token.c.token_hash == passwords.digest(token)
        with read(self._engine) as db:
            row = db.execute(select(api_token).where(where)).mappings().first()
        if row is None or row["expires_ns"] <= now:
            return None
        if now - (row["last_used_ns"] or 0) > _TOUCH_S * _S:
            with write(self._engine) as db:
                db.execute(update(api_token).where(where).values(last_used_ns=now))
        return Known(row["name"], row["tenant"], row["role"], expires_ns=row["expires_ns"])
