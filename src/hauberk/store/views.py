"""Saved views: a page of the console with its filter, sort and columns, under a name."""

from __future__ import annotations

import re
import secrets
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from hauberk.errors import BadInput, Conflict, Forbidden, NotFound
from hauberk.schema.ids import uuid_from
from hauberk.schema.view import Page, SavedViewInput
from hauberk.schema.view_fleet import SavedView
from hauberk.store import query
from hauberk.store.database import read, write
from hauberk.store.query import Field, Listing
from hauberk.store.tables_fleet import saved_view

MAX_VIEWS = 200
MAX_NAME, MAX_PATH, MAX_QUERY = 100, 200, 8192
_MS = 1_000_000
# A path of this server alone: no scheme, no host, nothing that a browser reads as one.
_PATH = re.compile(r"/|(/[A-Za-z0-9_~.:@-]+)+/?")
_c = saved_view.c


def page(
    engine: Engine,
    tenant: str,
    owner: str,
    *,
    text: str,
    cursor: str | None,
    limit: int,
    now_ms: int,
) -> Page[SavedView]:
    """One page of the owner's views and those shared in the tenant, by name.

    Raises:
        BadFilter: the filter is wrong.
        BadInput: the cursor belongs to another list.
    """
    fields = {
        "id": Field("str", _c.id, nullable=False),
        "name": Field("str", _c.name, nullable=False),
        "path": Field("str", _c.path, nullable=False),
        "query": Field("str", _c.query, nullable=False),
        "owner": Field("str", _c.owner, nullable=False),
        "shared": Field("bool", _c.shared, nullable=False),
        "mine": Field("bool", case((_c.owner == owner, true()), else_=false()), nullable=False),
    }
    rows = select(saved_view).where(_visible(tenant, owner))
    listing = Listing(rows, fields, _c.id, "name", ("views", tenant, owner))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
    items = [_view(row, owner) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ms)


def find(engine: Engine, tenant: str, owner: str, view_id: str) -> SavedView:
    """One view that the owner may see. Raises NotFound."""
    with read(engine) as db:
        return _view(_row(db, tenant, owner, view_id), owner)


def create(
    engine: Engine, tenant: str, owner: str, data: SavedViewInput, *, now_ns: int
) -> SavedView:
    """Save a view.

    Raises:
        BadInput: name, path or query are not what they should be.
        Conflict: the owner has one of that name, or too many.
    """
    values = _checked(data)
    id_ = uuid_from(secrets.token_bytes(16))
    with write(engine) as db:
        theirs = select(func.count()).where(_c.tenant == tenant, _c.owner == owner)
        if db.execute(theirs).scalar_one() >= MAX_VIEWS:
            raise Conflict(f"you have {MAX_VIEWS} views already: delete one first")
        _free(db, tenant, owner, values["name"], "")
        values |= {"id": id_, "tenant": tenant, "owner": owner}
        row = values | {"created_ns": now_ns, "updated_ns": now_ns}
        _stored(db, insert(saved_view).values(row), values["name"])
        return _view(_row(db, tenant, owner, id_), owner)


def replace(
    engine: Engine, tenant: str, owner: str, view_id: str, data: SavedViewInput, *, now_ns: int
) -> SavedView:
    """Replace one's own view.

    Raises:
        NotFound: there is none that the owner may see.
        Forbidden: it is somebody else's.
        BadInput: name, path or query are not what they should be.
        Conflict: another one has that name.
    """
    values = _checked(data)
    with write(engine) as db:
        if _row(db, tenant, owner, view_id)["owner"] != owner:
            raise Forbidden("this view is somebody else's: save it under a name of your own")
        _free(db, tenant, owner, values["name"], view_id)
        change = update(saved_view).where(_c.tenant == tenant, _c.id == view_id)
        _stored(db, change.values(values | {"updated_ns": now_ns}), values["name"])
        return _view(_row(db, tenant, owner, view_id), owner)


def remove(engine: Engine, tenant: str, owner: str, view_id: str, *, admin: bool) -> None:
    """Delete one's own view; an admin deletes shared ones of others too.

    Raises:
        NotFound: there is none that the owner may see.
        Forbidden: it is somebody else's.
    """
    with write(engine) as db:
        if _row(db, tenant, owner, view_id)["owner"] != owner and not admin:
            raise Forbidden("this view is somebody else's: its owner or an admin can delete it")
        db.execute(delete(saved_view).where(_c.tenant == tenant, _c.id == view_id))


def disown(db: Connection, tenant: str, owner: str) -> None:
    """An owner is gone: who comes under that name later gets nothing of theirs.

    Views that they shared stay for the others; an admin can delete them.
    """
    theirs = and_(_c.tenant == tenant, _c.owner == owner)
    db.execute(delete(saved_view).where(theirs, _c.shared.is_(False)))
    former = f"gone:{owner}:{secrets.token_hex(4)}"
    db.execute(update(saved_view).where(theirs).values(owner=former))


def token_owner(name: str) -> str:
    """Whose the views of an API token are; no user's name has a colon."""
    return f"token:{name}"


def _visible(tenant: str, owner: str) -> ColumnElement[bool]:
    return and_(_c.tenant == tenant, or_(_c.owner == owner, _c.shared.is_(True)))


def _row(db: Connection, tenant: str, owner: str, view_id: str) -> RowMapping:
    where = (_visible(tenant, owner), _c.id == view_id)
    row = db.execute(select(saved_view).where(*where)).mappings().first()
    if row is None:
        raise NotFound("no such view: it may have been deleted or is not shared any more")
    return row


def _free(db: Connection, tenant: str, owner: str, name: str, but: str) -> None:
    where = (_c.tenant == tenant, _c.owner == owner, _c.name == name, _c.id != but)
    if db.execute(select(_c.id).where(*where)).first() is not None:
        raise _taken(name)


def _stored(db: Connection, statement: Any, name: str) -> None:
    try:
        db.execute(statement)
    except IntegrityError as error:
        # Somebody was faster; what raises here undoes the whole transaction.
        raise _taken(name) from error


def _taken(name: str) -> Conflict:
    return Conflict(f"you have a view called {name!r} already: choose another name")


def _checked(data: SavedViewInput) -> dict[str, Any]:
    name = data.name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadInput(f"1 to {MAX_NAME} printable characters", source="name")
    bare = len(data.path) <= MAX_PATH and _PATH.fullmatch(data.path)
    parts = data.path.split("/")
    if not bare or ".." in parts or "." in parts or parts[1] == "api":
        raise BadInput(
            f"a path of the console such as /inventory, at most {MAX_PATH} characters",
            source="path",
        )
    search = data.query.removeprefix("?")
    if len(search) > MAX_QUERY or "#" in search or not search.isprintable():
        raise BadInput(
            f"a page's search string such as q=name+~+ssh, at most {MAX_QUERY} characters",
            source="query",
        )
    return {"name": name, "path": data.path, "query": search, "shared": data.shared}


def _view(row: RowMapping, owner: str) -> SavedView:
    return SavedView(
        id=row["id"],
        name=row["name"],
        path=row["path"],
        query=row["query"],
        owner=row["owner"],
        shared=bool(row["shared"]),
        mine=row["owner"] == owner,
        created_ms=row["created_ns"] // _MS,
        updated_ms=row["updated_ns"] // _MS,
    )
