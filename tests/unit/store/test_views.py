from __future__ import annotations

import pytest
from storekit import Kit

from hauberk.errors import BadInput, Conflict, Forbidden, NotFound
from hauberk.schema.view import SavedViewInput
from hauberk.store import views

NOW = 5_000_000


def data(name: str = "a", **more: object) -> SavedViewInput:
    values: dict[str, object] = {"name": name, "path": "/agents", "query": "?q=x"}
    return SavedViewInput(**values | more)  # type: ignore[arg-type]


def test_a_view_is_its_owners_until_shared(kit: Kit) -> None:
    made = views.create(kit.engine, "default", "ann", data(), now_ns=NOW)
    assert (made.query, made.created_ms, made.mine) == ("q=x", 5, True)
    for tenant, owner in (("default", "bob"), ("other", "ann")):
        with pytest.raises(NotFound):
            views.find(kit.engine, tenant, owner, made.id)
    views.replace(kit.engine, "default", "ann", made.id, data(shared=True), now_ns=NOW * 2)
    seen = views.find(kit.engine, "default", "bob", made.id)
    assert (seen.mine, seen.shared, seen.updated_ms) == (False, True, 10)
    with pytest.raises(Forbidden):
        views.replace(kit.engine, "default", "bob", made.id, data(), now_ns=NOW)
    with pytest.raises(Forbidden):
        views.remove(kit.engine, "default", "bob", made.id, admin=False)
    with pytest.raises(NotFound):
        views.remove(kit.engine, "other", "bob", made.id, admin=True)
    views.remove(kit.engine, "default", "bob", made.id, admin=True)
    page = views.page(kit.engine, "default", "ann", text="", cursor=None, limit=9, now_ms=1)
    assert page.items == []


def test_names_and_paths_are_checked(kit: Kit) -> None:
    first = views.create(kit.engine, "default", "ann", data(), now_ns=NOW)
    with pytest.raises(Conflict, match="'a' already"):
        views.create(kit.engine, "default", "ann", data(" a "), now_ns=NOW)
    views.replace(kit.engine, "default", "ann", first.id, data(), now_ns=NOW)
    for wrong in ({"path": "//x"}, {"path": "x:y"}, {"query": "#"}, {"name": "\n"}):
        with pytest.raises(BadInput):
            views.create(kit.engine, "default", "ann", data(**{"name": "b"} | wrong), now_ns=NOW)  # type: ignore[arg-type]
