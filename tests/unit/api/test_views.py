from __future__ import annotations

import pytest

from hauberk.api.context import Identity
from hauberk.api.views import owner_of


@pytest.fixture
def client(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        yield client


@pytest.mark.parametrize(
    ("via", "owner"), [("session", "ann"), ("token", "token:ann"), ("local", "local:ann")]
)
def test_owners_of_different_kinds_are_apart(via, owner):
    assert owner_of(Identity(name="ann", tenant="default", role="viewer", via=via)) == owner


def test_a_view_comes_and_goes(client):
    body = {"name": "mine", "path": "/agents", "query": "q=x", "shared": True}
    made = client.post("/api/v1/views", json=body)
    assert made.status_code == 201, made.text
    url = f"/api/v1/views/{made.json()['id']}"
    assert client.put(url, json=body | {"name": "other"}).json()["name"] == "other"
    assert client.delete(url).status_code == 204
    assert client.delete(url).status_code == 404
