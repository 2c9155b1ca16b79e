"""Users, API tokens and tenants: listing, making, changing, removing."""

from __future__ import annotations

import re
import secrets

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.ports import Clock
from hauberk.schema.ids import TENANT_NAME, uuid_from
from hauberk.schema.view import (
    Role,
    TenantInput,
    TenantView,
    TokenInput,
    TokenView,
    UserInput,
    UserPatch,
    UserView,
)
from hauberk.store import passwords, views
from hauberk.store.database import read, write
from hauberk.store.tables import agent, api_token, session, tenant, user

_S, _MS = 1_000_000_000, 1_000_000
TOKEN_PREFIX = "hbt_"  # noqa: S105
USER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MIN_TTL_S, MAX_TTL_S = 60, 366 * 86_400


class Accounts:
    """Who exists. Safe for several threads."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def users(self, tenant_id: str) -> list[UserView]:
        """The tenant's users by name."""
        with read(self._engine) as db:
            rows = db.execute(select(user).where(user.c.tenant == tenant_id).order_by(user.c.name))
            return [_user_view(row) for row in rows.mappings()]

    def create_user(self, tenant_id: str, data: UserInput) -> UserView:
        """Add a user. Raises BadInput, Conflict (the name is taken)."""
        if not USER_NAME.fullmatch(data.name):
            raise BadInput(
                "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit", source="name"
            )
        password = data.password if data.password is not None else passwords.generate()
        hashed = passwords.hash_password(password)
        with write(self._engine) as db:
            same = select(user.c.id).where(user.c.tenant == tenant_id, user.c.name == data.name)
            if db.execute(same).first() is not None:
                raise Conflict(f"there is a user {data.name!r} already")
            now = self._clock.wall_ns()
            made = add_user(db, tenant_id, data.name, data.role, hashed, now)
            row = db.execute(select(user).where(user.c.id == made)).mappings().one()
        return _user_view(row, password=password if data.password is None else None)

    def change_user(self, tenant_id: str, user_id: str, data: UserPatch) -> UserView:
        """Change role or disable. Raises NotFound, Conflict (the last admin)."""
        with write(self._engine) as db:
            row = _find_user(db, tenant_id, user_id)
            values: dict[str, object] = {}
            if data.role is not None:
                values["role"] = data.role
            if data.disabled is not None:
                values["disabled"] = data.disabled
            if values:
                db.execute(update(user).where(user.c.id == user_id).values(values))
            if data.disabled:
                db.execute(delete(session).where(session.c.user_id == user_id))
            _keep_an_admin(db, row)
            row = _find_user(db, tenant_id, user_id)
        return _user_view(row)

    def reset_user(self, tenant_id: str, user_id: str) -> UserView:
        """A new password, and no session left. Raises NotFound."""
        password = passwords.generate()
        hashed = passwords.hash_password(password)
        with write(self._engine) as db:
            _find_user(db, tenant_id, user_id)
            db.execute(update(user).where(user.c.id == user_id).values(password_hash=hashed))
            db.execute(delete(session).where(session.c.user_id == user_id))
            row = _find_user(db, tenant_id, user_id)
        return _user_view(row, password=password)

    def delete_user(self, tenant_id: str, user_id: str) -> None:
        """Remove a user and the sessions. Raises NotFound, Conflict (the last admin)."""
        with write(self._engine) as db:
            row = _find_user(db, tenant_id, user_id)
            db.execute(delete(session).where(session.c.user_id == user_id))
            db.execute(delete(user).where(user.c.id == user_id))
            views.disown(db, tenant_id, row["name"])
            _keep_an_admin(db, row)

    def tokens(self, tenant_id: str) -> list[TokenView]:
        """The tenant's API tokens by name."""
        mine = api_token.c.tenant == tenant_id
        with read(self._engine) as db:
            rows = db.execute(select(api_token).where(mine).order_by(api_token.c.name))
            return [_token_view(row) for row in rows.mappings()]

    def create_token(self, tenant_id: str, data: TokenInput, *, created_by: str) -> TokenView:
        """Make an API token. Raises BadInput, Conflict (the name is taken)."""
        name = data.name.strip()
        if not 1 <= len(name) <= 100:
            raise BadInput("1 to 100 characters", source="name")
        if not MIN_TTL_S <= data.ttl_s <= MAX_TTL_S:
            raise BadInput(f"{MIN_TTL_S} to {MAX_TTL_S} seconds", source="ttl_s")
        token, now = passwords.new_secret(TOKEN_PREFIX), self._clock.wall_ns()
        row = {
            "id": uuid_from(secrets.token_bytes(16)),
            "tenant": tenant_id,
            "name": name,
            "role": data.role,
            "token_hash": passwords.digest(token),
            "created_by": created_by,
            "created_ns": now,
            "expires_ns": now + data.ttl_s * _S,
        }
        with write(self._engine) as db:
            same = select(api_token.c.id).where(
                api_token.c.tenant == tenant_id, api_token.c.name == name
            )
            if db.execute(same).first() is not None:
                raise Conflict(f"there is a token {name!r} already")
            db.execute(insert(api_token).values(row))
            made = db.execute(select(api_token).where(api_token.c.id == row["id"])).mappings().one()
        return _token_view(made, token=token)

    def delete_token(self, tenant_id: str, token_id: str) -> None:
        """Revoke a token. Raises NotFound."""
        with write(self._engine) as db:
            where = (api_token.c.tenant == tenant_id) & (api_token.c.id == token_id)
            if not drop_tokens(db, where):
                raise NotFound("no such token in this tenant")

    def tenants(self) -> list[TenantView]:
        """All tenants, with the number of their agents."""
        count = select(agent.c.tenant, func.count().label("n")).group_by(agent.c.tenant).subquery()
        query = (
            select(tenant, func.coalesce(count.c.n, 0).label("agents"))
            .select_from(tenant.outerjoin(count, count.c.tenant == tenant.c.id))
            .order_by(tenant.c.id)
        )
        with read(self._engine) as db:
            return [_tenant_view(row) for row in db.execute(query).mappings()]

    def tenant_exists(self, tenant_id: str) -> bool:
        """Whether there is such a tenant."""
        with read(self._engine) as db:
            return (
                db.execute(select(tenant.c.id).where(tenant.c.id == tenant_id)).first() is not None
            )

    def create_tenant(self, data: TenantInput) -> TenantView:
        """Add a tenant and its user "admin". Raises BadInput, Conflict."""
        if not TENANT_NAME.fullmatch(data.id):
            raise BadInput("1 to 63 of a-z 0-9 and inner hyphens", source="id")
        if len(data.title) > 200:
            raise BadInput("at most 200 characters", source="title")
        password = passwords.generate()
        hashed = passwords.hash_password(password)
        now = self._clock.wall_ns()
        with write(self._engine) as db:
            if not ensure_tenant(db, data.id, data.title or data.id, now):
                raise Conflict(f"there is a tenant {data.id!r} already")
            add_user(db, data.id, "admin", "admin", hashed, now)
        return TenantView(
            id=data.id,
            title=data.title or data.id,
            created_ms=now // _MS,
            admin_password=password,
        )


def drop_tokens(db: Connection, which: ColumnElement[bool]) -> int:
    """Delete API tokens and what they owned; how many."""
    rows = db.execute(
        delete(api_token).where(which).returning(api_token.c.tenant, api_token.c.name)
    ).all()
    for home, name in rows:
        views.disown(db, home, views.token_owner(name))
    return len(rows)


def ensure_tenant(db: Connection, name: str, title: str, now: int) -> bool:
    """Make the tenant; False when it exists."""
    if db.execute(select(tenant.c.id).where(tenant.c.id == name)).first() is not None:
        return False
    db.execute(insert(tenant).values(id=name, title=title, created_ns=now))
    return True


def add_user(db: Connection, tenant_id: str, name: str, role: Role, hashed: str, now: int) -> str:
    """Insert a user; returns the id."""
    made = uuid_from(secrets.token_bytes(16))
    db.execute(
        insert(user).values(
            id=made,
            tenant=tenant_id,
            name=name,
            role=role,
            password_hash=hashed,
            disabled=False,
            created_ns=now,
        )
    )
    return made


def _find_user(db: Connection, tenant_id: str, user_id: str) -> RowMapping:
    query = select(user).where(user.c.tenant == tenant_id, user.c.id == user_id)
    row = db.execute(query).mappings().first()
    if row is None:
        raise NotFound("no such user in this tenant")
    return row


def _keep_an_admin(db: Connection, before: RowMapping) -> None:
    """Called after a change, within its transaction. Raises Conflict, which undoes it."""
    if before["role"] != "admin" or before["disabled"]:
        return
    left = (user.c.tenant == before["tenant"], user.c.role == "admin", user.c.disabled.is_(False))
    if db.execute(select(func.count()).select_from(user).where(*left)).scalar_one() == 0:
        raise Conflict("this is the last admin: make another one first")


def _user_view(row: RowMapping, *, password: str | None = None) -> UserView:
    return UserView(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        disabled=bool(row["disabled"]),
        created_ms=row["created_ns"] // _MS,
        last_login_ms=None if row["last_login_ns"] is None else row["last_login_ns"] // _MS,
        password=password,
    )


def _token_view(row: RowMapping, *, token: str | None = None) -> TokenView:
    return TokenView(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        created_by=row["created_by"],
        created_ms=row["created_ns"] // _MS,
        expires_ms=row["expires_ns"] // _MS,
        last_used_ms=None if row["last_used_ns"] is None else row["last_used_ns"] // _MS,
        token=token,
    )


def _tenant_view(row: RowMapping) -> TenantView:
    return TenantView(
        id=row["id"],
        title=row["title"],
        created_ms=row["created_ns"] // _MS,
        agents=row["agents"],
    )
