from __future__ import annotations

import hashlib

import apikit
import pytest
from rolloutkit import package

from hauberk.api import app
from hauberk.store import audit

BINARY = {"content-type": "application/octet-stream"}


@pytest.fixture
def client(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        yield client


def test_a_package_is_added_listed_and_deleted(stack, client):
    raw = package("2.0.0", 20, files={"bin/hauberk": bytes(range(256)) * 20_000}, preset=0)
    made = client.post("/api/v1/packages?note=first", content=raw, headers=BINARY)
    assert made.status_code == 201, made.text
    view = made.json()
    assert view["sha256"] == hashlib.sha256(raw).hexdigest()
    assert (view["version"], view["sequence"], view["size"]) == ("2.0.0", 20, len(raw))
    assert (view["note"], view["created_by"]) == ("first", "test-admin")
    assert client.post("/api/v1/packages", content=raw, headers=BINARY).status_code == 409
    listed = client.get("/api/v1/packages").json()["items"]
    assert [p["sha256"] for p in listed] == [view["sha256"]]
    install = client.post("/api/v1/enrolments", json={}).json()["install"]
    assert f"https://hauberk.test:8444/v1/install/{view['sha256']}" in install
    assert f'echo "{view["sha256"]}  h.txz" | sha256sum -c -' in install
    assert client.delete(f"/api/v1/packages/{view['sha256']}").status_code == 204
    assert client.get("/api/v1/packages").json()["items"] == []
    assert client.post("/api/v1/enrolments", json={}).json()["install"] is None
    done = audit.page(stack.engine, "default", 'action ~ "package"', None, 9, 0).items
    assert [(e.action, e.detail["outcome"]) for e in done] == [
        ("package.delete", "done"),
        ("package.add", "refused"),
        ("package.add", "done"),
    ]


def test_damaged_ones_are_refused_with_one_line(stack, client):
    for raw in (b"PK nothing", package()[:-20], b""):
        answer = client.post("/api/v1/packages", content=raw, headers=BINARY)
        assert answer.status_code == 400
        assert "not an agent package" in answer.json()["message"]
    assert not [p for p in (stack.folder / "blobs").rglob("*") if p.is_file()]


def test_this_route_alone_takes_large_bodies_and_no_json(stack, client):
    large = b"x" * (app.MAX_BODY + 1)
    assert client.post("/api/v1/packages", content=large, headers=BINARY).status_code == 400
    assert client.post("/api/v1/packages", json={}).status_code == 415
    assert client.post("/api/v1/enrolments", content=large, headers=BINARY).status_code == 415
    json = {"content-type": "application/json"}
    assert client.post("/api/v1/enrolments", content=large, headers=json).status_code == 413
    huge = BINARY | {"content-length": str(256 * 2**20 + 1)}
    assert client.post("/api/v1/packages", content=b"x", headers=huge).status_code == 413
    limit = {r.fn.__name__: r.request_max_body_size for r in app.V1 if hasattr(r, "fn")}
    assert limit["add_package"] == 256 * 2**20


def test_who_may(stack):
    stack.user("default", "boss", "admin")
    with stack.client() as client:
        client.headers.update(stack.token("default", "analyst"))
        assert client.get("/api/v1/packages").status_code == 200
        answer = client.post("/api/v1/packages", content=package(), headers=BINARY)
        assert answer.status_code == 403
    with stack.client() as client:
        bare = client.post("/api/v1/packages", content=package(), headers=BINARY)
        assert bare.status_code == 401
        login = {"name": "boss", "password": apikit.PASSWORD}
        csrf = client.post("/api/v1/session", json=login).json()["csrf"]
        refused = client.post("/api/v1/packages", content=package(), headers=BINARY)
        assert refused.status_code == 403
        headers = BINARY | {"X-Hauberk-CSRF": csrf}
        made = client.post("/api/v1/packages", content=package(), headers=headers)
        assert made.status_code == 201
