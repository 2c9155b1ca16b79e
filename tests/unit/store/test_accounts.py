from __future__ import annotations

import apikit
import pytest

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.schema.view import SavedViewInput, TenantInput, TokenInput, UserInput, UserPatch
from hauberk.store import views
from hauberk.store.upkeep import DAY_NS, expired


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


def test_names_are_checked_and_taken_once(stack):
    accounts = stack.context.access
    for name in ("", "A", "a b", "a@b", "-a", "x" * 65, "ä"):
        with pytest.raises(BadInput):
            accounts.create_user("default", UserInput(name=name, role="viewer"))
    made = accounts.create_user("default", UserInput(name="bob", role="viewer"))
    assert made.password
    with pytest.raises(Conflict):
        accounts.create_user("default", UserInput(name="bob", role="admin"))
    assert accounts.create_user("other", UserInput(name="bob", role="admin")).id != made.id
    assert [u.password for u in accounts.users("default")] == [None, None]


def test_the_last_admin_cannot_go(stack):
    accounts = stack.context.access
    admin = accounts.users("default")[0].id
    for change in (
        lambda: accounts.delete_user("default", admin),
        lambda: accounts.change_user("default", admin, UserPatch(role="viewer")),
        lambda: accounts.change_user("default", admin, UserPatch(disabled=True)),
    ):
        with pytest.raises(Conflict, match="last admin"):
            change()
    assert (accounts.users("default")[0].role, accounts.users("default")[0].disabled) == (
        "admin",
        False,
    )
    stack.user("default", "second", "admin")
    accounts.delete_user("default", admin)
    assert [u.name for u in accounts.users("default")] == ["second"]


def test_tokens_are_checked(stack):
    accounts = stack.context.access
    for data in (
        TokenInput(name=" ", role="viewer"),
        TokenInput(name="t", role="viewer", ttl_s=1),
        TokenInput(name="t", role="viewer", ttl_s=10**12),
    ):
        with pytest.raises(BadInput):
            accounts.create_token("default", data, created_by="x")
    made = accounts.create_token("default", TokenInput(name="t", role="viewer"), created_by="x")
    with pytest.raises(Conflict):
        accounts.create_token("default", TokenInput(name="t", role="viewer"), created_by="x")
    with pytest.raises(NotFound):
        accounts.delete_token("other", made.id)
    accounts.delete_token("default", made.id)
    assert accounts.tokens("default") == []


def test_tenants(stack):
    accounts = stack.context.access
    for name in ("", "A", "-a", "a-", "a/b", "..", "x" * 64):
        with pytest.raises(BadInput):
            accounts.create_tenant(TenantInput(id=name))
    made = accounts.create_tenant(TenantInput(id="acme", title="ACME"))
    assert accounts.log_in("admin@acme", made.admin_password, client="c").tenant == "acme"
    with pytest.raises(Conflict):
        accounts.create_tenant(TenantInput(id="acme"))
    stack.workload("acme", "one")
    found = {t.id: (t.agents, t.admin_password) for t in accounts.tenants()}
    assert found == {"acme": (1, None), "default": (0, None), "other": (0, None)}
    assert accounts.tenant_exists("acme")
    assert not accounts.tenant_exists("nobody")


def test_who_gets_a_former_name_gets_none_of_its_views(stack):
    accounts, engine = stack.context.access, stack.context.engine
    ann = UserInput(name="ann", role="viewer")
    token = TokenInput(name="t", role="viewer", ttl_s=60)

    def save(owner, name, *, shared):
        data = SavedViewInput(name=name, path="/agents", query="", shared=shared)
        return views.create(engine, "default", owner, data, now_ns=1).id

    def seen(owner):
        page = views.page(engine, "default", owner, text="", cursor=None, limit=9, now_ms=1)
        return {(one.name, one.mine) for one in page.items}

    for _ in range(2):  # a shared view of the same name stays twice
        user = accounts.create_user("default", ann)
        made = accounts.create_token("default", token, created_by="x")
        for owner in ("ann", "token:t"):
            save(owner, "mine", shared=False)
            save(owner, "ours", shared=True)
        assert {("mine", True), ("ours", True)} <= seen("ann")
        accounts.delete_user("default", user.id)
        accounts.delete_token("default", made.id)
        for owner in ("ann", "token:t"):
            assert seen(owner) == {("ours", False)}


def test_views_go_with_a_token_that_has_expired(stack):
    engine, now = stack.context.engine, stack.context.clock.wall_ns()
    stack.context.access.create_token(
        "default", TokenInput(name="t", role="viewer", ttl_s=60), created_by="x"
    )
    data = SavedViewInput(name="v", path="/agents", query="")
    made = views.create(engine, "default", views.token_owner("t"), data, now_ns=1)
    expired(engine, now)
    assert views.find(engine, "default", "token:t", made.id).mine
    assert expired(engine, now + 31 * DAY_NS) == 1
    with pytest.raises(NotFound):
        views.find(engine, "default", "token:t", made.id)
