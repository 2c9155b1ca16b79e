from __future__ import annotations

import apikit
import pytest


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (None, "log in"),
        ("Bearer hbt_wrong", "unknown, expired or revoked"),
        ("Bearer ", "unknown, expired or revoked"),
        ("Basic YTpi", "Bearer"),
        ("", "Bearer"),
    ],
)
def test_no_credential_says_what_is_missing(stack, header, hint):
    headers = {} if header is None else {"Authorization": header}
    with stack.client() as client:
        answer = client.get("/api/v1/me", headers=headers)
    assert answer.status_code == 401
    assert hint in answer.json()["message"]


def test_a_bearer_token_wins_over_a_cookie_and_needs_no_csrf(stack):
    stack.user("other", "eve", "viewer")
    with stack.client() as client:
        client.post("/api/v1/session", json={"name": "eve@other", "password": apikit.PASSWORD})
        mine = client.get("/api/v1/me", headers=stack.token("default", "admin")).json()
        assert (mine["tenant"], mine["via"]) == ("default", "token")
        wrong = client.get("/api/v1/me", headers={"Authorization": "Bearer hbt_x"})
        assert wrong.status_code == 401
        made = client.post("/api/v1/enrolments", json={}, headers=stack.token("default", "admin"))
        assert made.status_code == 201


def test_a_mistyped_parameter_is_refused_before_anything_is_done(stack):
    home = stack.workload("default", "one")
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        answer = client.post(f"/api/v1/agents/agent-{home}/revoke?dry=1")
        assert answer.status_code == 400
        assert "unknown parameter; known: none" in answer.json()["message"]
        assert client.get("/api/v1/agents").json()["items"][0]["state"] == "online"


def test_the_local_socket_needs_a_real_tenant(stack):
    with stack.client(local=True) as client:
        found = client.get("/api/v1/me", headers={"X-Hauberk-Tenant": "other"}).json()
        assert (found["tenant"], found["operator"], found["role"]) == ("other", True, "admin")
        missing = client.get("/api/v1/me", headers={"X-Hauberk-Tenant": "../x"})
        assert missing.status_code == 404
        assert client.get("/api/v1/tenants").status_code == 200
