from __future__ import annotations

import apikit
import pytest

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.schema.view import TenantInput, TokenInput, UserInput, UserPatch


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
