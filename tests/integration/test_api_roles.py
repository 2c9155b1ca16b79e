"""Every route with every role, without a credential, with a cookie without CSRF; and its audit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import pytest
import rolloutkit

from hauberk.schema.view import RunInput
from hauberk.store import audit, runs

VIEWER, ANALYST, ADMIN = ("viewer", "analyst", "admin"), ("analyst", "admin"), ("admin",)
HOME = "default-one"
SHA256 = hashlib.sha256(rolloutkit.package()).hexdigest()
# (method, path): roles that may, a body that is right, the status it gives.
ROUTES: dict[tuple[str, str], tuple[tuple[str, ...], Any, int]] = {
    ("GET", "/me"): (VIEWER, None, 200),
    ("GET", "/overview"): (VIEWER, None, 200),
    ("GET", "/taxonomy"): (VIEWER, None, 200),
    ("GET", "/assets/access.user"): (VIEWER, None, 200),
    ("GET", "/assets/access.user/facets?field=name"): (VIEWER, None, 200),
    ("GET", "/assets/access.user/export"): (VIEWER, None, 200),
    ("GET", "/asset/{asset}"): (VIEWER, None, 200),
    ("GET", "/changes"): (VIEWER, None, 200),
    ("GET", "/workloads"): (VIEWER, None, 200),
    ("GET", f"/workloads/{HOME}"): (VIEWER, None, 200),
    ("GET", f"/workloads/{HOME}/ledger"): (VIEWER, None, 200),
    ("GET", "/ledger"): (VIEWER, None, 200),
    ("GET", f"/workloads/{HOME}/tasks"): (VIEWER, None, 200),
    ("GET", "/agents"): (VIEWER, None, 200),
    ("GET", "/events"): (VIEWER, None, 200),
    ("GET", "/events/export"): (VIEWER, None, 200),
    ("GET", "/changes/export"): (VIEWER, None, 200),
    ("GET", "/workloads/export"): (VIEWER, None, 200),
    ("GET", "/agents/export"): (VIEWER, None, 200),
    ("GET", "/runs"): (VIEWER, None, 200),
    ("GET", "/runs/{run}"): (VIEWER, None, 200),
    ("GET", "/runs/{run}/tasks"): (VIEWER, None, 200),
    ("GET", "/runs/{run}/tasks/export"): (VIEWER, None, 200),
    ("POST", "/runs"): (ANALYST, {"kind": "collect"}, 201),
    ("POST", "/runs/{run}/cancel"): (ANALYST, None, 200),
    ("POST", "/tasks/{task}/cancel"): (ANALYST, None, 200),
    ("GET", "/packages"): (VIEWER, None, 200),
    ("GET", "/poison"): (ADMIN, None, 200),
    ("DELETE", "/packages/{spare}"): (ADMIN, None, 204),
    ("GET", "/rollouts"): (VIEWER, None, 200),
    ("POST", "/rollouts"): (ADMIN, {"sha256": SHA256}, 201),
    ("GET", "/rollouts/{rollout_id}"): (VIEWER, None, 200),
    ("GET", "/rollouts/{rollout_id}/agents"): (VIEWER, None, 200),
    ("POST", "/rollouts/{rollout_id}/pause"): (ADMIN, None, 200),
    ("POST", "/rollouts/{paused}/resume"): (ADMIN, None, 200),
    ("POST", "/rollouts/{rollout_id}/cancel"): (ADMIN, None, 200),
    ("GET", "/alarms"): (VIEWER, None, 200),
    ("POST", "/alarms/{alarm_id}/acknowledge"): (ANALYST, None, 200),
    ("DELETE", "/workloads/{gone}"): (ADMIN, None, 204),
    ("GET", "/views"): (VIEWER, None, 200),
    ("POST", "/views"): (VIEWER, {"name": "v", "path": "/inventory", "shared": True}, 201),
    ("GET", "/jobs"): (VIEWER, None, 200),
    ("GET", "/system"): (VIEWER, None, 200),
    ("POST", f"/workloads/{HOME}/tasks"): (ANALYST, {"kind": "collect"}, 201),
    ("PUT", f"/workloads/{HOME}/desired"): (
        ANALYST,
        {"version": 0, "schedule": {}, "budget": {}},
        200,
    ),
    ("GET", "/enrolments"): (ADMIN, None, 200),
    ("POST", "/enrolments"): (ADMIN, {}, 201),
    ("DELETE", "/enrolments/{enrolment}"): (ADMIN, None, 204),
    ("POST", f"/agents/agent-{HOME}/revoke"): (ADMIN, None, 200),
    ("GET", "/users"): (ADMIN, None, 200),
    ("POST", "/users"): (ADMIN, {"name": "fresh", "role": "viewer"}, 201),
    ("PATCH", "/users/{user}"): (ADMIN, {"role": "analyst"}, 200),
    ("POST", "/users/{user}/reset"): (ADMIN, None, 200),
    ("DELETE", "/users/{user}"): (ADMIN, None, 204),
    ("GET", "/tokens"): (ADMIN, None, 200),
    ("POST", "/tokens"): (ADMIN, {"name": "fresh", "role": "viewer"}, 201),
    ("DELETE", "/tokens/{token}"): (ADMIN, None, 204),
    ("GET", "/audit"): (ADMIN, None, 200),
    ("GET", "/audit/export"): (ADMIN, None, 200),
    ("GET", "/audit/verify"): (ADMIN, None, 200),
    ("GET", "/tenants"): (ADMIN, None, 200),
    ("POST", "/tenants"): (ADMIN, {"id": "fresh"}, 201),
    ("DELETE", "/session"): (VIEWER, None, 204),
}
ELSEWHERE = {
    ("POST", "/session"),
    ("GET", "/stream"),
    # Its body is a package: tests/unit/api/test_packages.
    ("POST", "/packages"),
    # Whether one may depends on whose view it is: test_api_views.
    ("PUT", "/views/{view_id}"),
    ("DELETE", "/views/{view_id}"),
}
SPOTS = {
    "access.user": "{subclass}",
    HOME: "{workload_id}",
    f"agent-{HOME}": "{agent_id}",
    "{asset}": "{asset_id}",
    "{run}": "{run_id}",
    "{spare}": "{sha256}",
    "{paused}": "{rollout_id}",
    "{gone}": "{workload_id}",
    "{task}": "{task_id}",
    "{enrolment}": "{enrolment_id}",
    "{user}": "{user_id}",
    "{token}": "{token_id}",
}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[apikit.Stack]:
    made = apikit.make(tmp_path)
    made.workload("default", "one")
    yield made
    made.close()


def url_of(stack: apikit.Stack, path: str) -> str:
    asset = stack.asset("default", HOME, "access.user", "root", name="root")
    enrolment, _, _ = stack.context.agents.invite("default", url="https://x", created_by="x")
    user = stack.user("default", "spare", "viewer")
    stack.token("default", "viewer")
    token = stack.context.access.tokens("default")[0].id
    keys, clock = stack.context.agents.keys, stack.clock
    order = RunInput(kind="collect")
    run = runs.create(stack.engine, keys, clock, "default", order, created_by="x")
    every = runs.all_run_tasks(stack.engine, "default", run, text="", sort="", now_ns=clock.now)
    task = next(every).id
    return "/api/v1" + path.format(
        asset=asset,
        enrolment=enrolment,
        user=user,
        token=token,
        run=run,
        task=task,
        **rolloutkit.seed(stack, "default", HOME),
    )


def test_every_route_is_in_the_table(stack: apikit.Stack) -> None:
    known = set()
    for method, path in set(ROUTES) | ELSEWHERE:
        parts = [SPOTS.get(part, part) for part in path.partition("?")[0].split("/")]
        known.add((method, "/api/v1" + "/".join(parts)))
    real = {
        (method, route.path_format)
        for route in stack.app.routes
        if route.path_format.startswith("/api/")
        for method in set(getattr(route, "methods", ())) - {"OPTIONS", "HEAD"}
    }
    assert known == real


@pytest.mark.parametrize(("method", "path"), list(ROUTES))
def test_roles(stack: apikit.Stack, method: str, path: str) -> None:
    allowed, body, good = ROUTES[method, path]
    url = url_of(stack, path)
    with stack.client() as client:
        bare = client.request(method, url, json=body)
        assert (bare.status_code, bare.json()["code"]) == (401, "unauthenticated")
        for role in ("viewer", "analyst"):
            if role in allowed:
                continue
            answer = client.request(method, url, json=body, headers=stack.token("default", role))
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), role
        answer = client.request(method, url, json=body, headers=stack.token("default", allowed[0]))
        assert answer.status_code == good, answer.text


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r[0] != "GET"])
def test_cookies_need_the_csrf_header_and_changes_are_audited(
    stack: apikit.Stack, method: str, path: str
) -> None:
    _, body, good = ROUTES[method, path]
    url = url_of(stack, path)
    stack.user("default", "boss", "admin")
    with stack.client() as client:
        opened = client.post("/api/v1/session", json={"name": "boss", "password": apikit.PASSWORD})
        csrf = opened.json()["csrf"]
        before = entries(stack)
        for header in ({}, {"X-Hauberk-CSRF": "x"}, {"X-Hauberk-CSRF": csrf[:-1]}):
            refused = client.request(method, url, json=body, headers=header)
            assert refused.status_code == 403, refused.text
        assert [e[0] for e in entries(stack)[len(before) :]] == ["request.refused"] * 3
        done = client.request(method, url, json=body, headers={"X-Hauberk-CSRF": csrf})
        assert done.status_code == good, done.text
        last = entries(stack)[-1]
        assert last[0] not in ("request.refused", "session.open")
        assert last[1] == "session:boss"
        assert last[2]["outcome"] == "done"
    assert audit.verify(stack.engine, "default").intact


def entries(stack: apikit.Stack) -> list[tuple[str, str, dict[str, Any]]]:
    page = audit.page(stack.engine, "default", "", None, 1000, 0)
    return [(e.action, e.actor, e.detail) for e in reversed(page.items)]


def test_refused_changes_are_audited(stack: apikit.Stack) -> None:
    with stack.client() as client:
        headers = stack.token("default", "admin")
        assert client.delete("/api/v1/users/nobody", headers=headers).status_code == 404
        viewer = stack.token("default", "viewer")
        assert client.delete("/api/v1/users/nobody", headers=viewer).status_code == 403
    kinds = [(a, d["outcome"]) for a, _, d in entries(stack)[-2:]]
    assert kinds == [("user.delete", "refused"), ("request.refused", "refused")]


def test_a_disabled_user_is_out_at_once(stack: apikit.Stack) -> None:
    user = stack.user("default", "eve", "viewer")
    with stack.client() as client:
        client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        assert client.get("/api/v1/me").json()["name"] == "eve"
        changed = client.patch(
            f"/api/v1/users/{user}",
            json={"disabled": True},
            headers=stack.token("default", "admin"),
        )
        assert changed.json()["disabled"] is True
        assert client.get("/api/v1/me").status_code == 401
        again = client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        assert again.status_code == 401


def test_the_last_admin_stays(stack: apikit.Stack) -> None:
    admin = stack.context.access.users("default")[0]
    with stack.client() as client:
        headers = stack.token("default", "admin")
        url = f"/api/v1/users/{admin.id}"
        for answer in (
            client.delete(url, headers=headers),
            client.patch(url, json={"role": "viewer"}, headers=headers),
            client.patch(url, json={"disabled": True}, headers=headers),
        ):
            assert answer.status_code == 409
        assert [u["role"] for u in client.get("/api/v1/users", headers=headers).json()] == ["admin"]


def test_guessing_is_slowed(stack: apikit.Stack) -> None:
    with stack.client() as client:
        wrong = {"name": "admin", "password": "wrong"}
        codes = [client.post("/api/v1/session", json=wrong).status_code for _ in range(7)]
        assert codes == [401] * 5 + [429] * 2
        last = client.post("/api/v1/session", json=wrong)
        assert int(last.headers["Retry-After"]) >= 1
        stack.clock.forward(2)
        assert client.post("/api/v1/session", json=wrong).status_code == 401
    failures = [e for e in entries(stack) if e[0] == "session.open"]
    assert [f[2]["outcome"] for f in failures] == ["refused"] * 6


def test_sessions_slide_and_end(stack: apikit.Stack) -> None:
    stack.user("default", "eve", "viewer")
    with stack.client() as client:
        client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        for _ in range(3):
            stack.clock.forward(11 * 3600)
            assert client.get("/api/v1/me").status_code == 200
        stack.clock.forward(13 * 3600)
        assert client.get("/api/v1/me").status_code == 401


def test_a_session_has_an_end_however_often_it_is_used(stack: apikit.Stack) -> None:
    stack.user("default", "eve", "viewer")
    with stack.client() as client:
        client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        codes = []
        for _ in range(18):
            stack.clock.forward(10 * 3600)
            codes.append(client.get("/api/v1/me").status_code)
    assert codes[:16] == [200] * 16
    assert codes[-1] == 401


def test_tokens_expire_and_are_revoked(stack: apikit.Stack) -> None:
    headers = stack.token("default", "admin")
    with stack.client() as client:
        made = client.post(
            "/api/v1/tokens", json={"name": "t", "role": "viewer", "ttl_s": 3600}, headers=headers
        ).json()
        mine = {"Authorization": f"Bearer {made['token']}"}
        assert client.get("/api/v1/me", headers=mine).json()["role"] == "viewer"
        stack.clock.forward(3601)
        assert client.get("/api/v1/me", headers=mine).status_code == 401
        made = client.post(
            "/api/v1/tokens", json={"name": "u", "role": "viewer"}, headers=headers
        ).json()
        mine = {"Authorization": f"Bearer {made['token']}"}
        assert client.get("/api/v1/me", headers=mine).status_code == 200
        client.delete(f"/api/v1/tokens/{made['id']}", headers=headers)
        assert client.get("/api/v1/me", headers=mine).status_code == 401


def test_secrets_are_stored_hashed_only(stack: apikit.Stack) -> None:
    stack.user("default", "eve", "viewer")
    token = stack.token("default", "admin")["Authorization"].removeprefix("Bearer ")
    with stack.client() as client:
        client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        cookie = client.cookies["__Host-hauberk"]
        made = client.post("/api/v1/enrolments", json={}, headers=stack.token("default", "admin"))
        enrolment = made.json()["token"]
    stack.engine.dispose()
    raw = b"".join(p.read_bytes() for p in stack.folder.glob("state.db*"))
    for secret in (token, cookie, enrolment, apikit.PASSWORD):
        assert secret.encode() not in raw
