"""Two tenants that use the same names, through every route: neither sees or changes the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apikit
import pytest
import rolloutkit

from hauberk.schema.view import Notice

PACKAGE = "software.os_package"


@dataclass
class Two:
    stack: apikit.Stack
    ids: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, state_url: str) -> Iterator[Two]:
    stack = apikit.make(Path(tmp_path_factory.mktemp("tenants")), state_url)
    ids = {}
    for tenant in ("default", "other"):
        home = stack.workload(tenant, "one", hostname="web-1")
        key = "dpkg\x1fnginx\x1famd64"
        package = stack.asset(
            tenant, home, PACKAGE, key, name="nginx", version=f"1-{tenant}", manager="dpkg"
        )
        stack.asset(tenant, home, "access.user", "root", name="root", shell=f"/{tenant}")
        stack.relation(tenant, home, ("access.user", "root"), (PACKAGE, key))
        stack.collected(tenant, home, PACKAGE)
        for table in ("process_activity", "network_activity", "blind_time"):
            stack.events(tenant, home, table, [{"name": f"cat-{tenant}", "time_ns": apikit.NOW_NS}])
        enrolment, _, _ = stack.context.agents.invite(
            tenant, url="https://x", note=f"for {tenant}", created_by=f"by-{tenant}"
        )
        spare = stack.user(tenant, "carol", "viewer")
        stack.token(tenant, "admin")
        tokens = stack.context.access.tokens(tenant)
        ids[tenant] = {
            "workload_id": home,
            "asset_id": package,
            "agent_id": f"agent-{home}",
            "enrolment_id": enrolment,
            "user_id": spare,
            "token_id": tokens[0].id,
            **_ordered(stack, tenant),
            "subclass": PACKAGE,
        }
    yield Two(stack, ids)
    stack.close()


def _ordered(stack: apikit.Stack, tenant: str) -> dict[str, str]:
    with stack.client() as client:
        client.headers.update(stack.token(tenant, "admin"))
        view = {"name": f"view for {tenant}", "path": "/inventory", "shared": True}
        made = client.post("/api/v1/views", json=view).json()["id"]
        run = client.post("/api/v1/runs", json={"kind": "collect"}).json()["id"]
        tasks = client.get(f"/api/v1/runs/{run}/tasks").json()["items"]
    more = rolloutkit.seed(stack, tenant, f"{tenant}-one")
    del more["sha256"], more["spare"], more["gone"], more["paused"]
    return {"view_id": made, "run_id": run, "task_id": tasks[0]["id"], **more}


# Lists: what the answer must hold of one's own tenant.
LISTS: dict[tuple[str, str], str] = {
    ("GET", "/api/v1/assets/{subclass}"): "",
    ("GET", "/api/v1/assets/{subclass}/facets"): "field=version",
    ("GET", "/api/v1/assets/{subclass}/export"): "format=json",
    ("GET", "/api/v1/changes"): "",
    ("GET", "/api/v1/workloads"): "",
    ("GET", "/api/v1/agents"): "",
    ("GET", "/api/v1/ledger"): "",
    ("GET", "/api/v1/enrolments"): "",
    ("GET", "/api/v1/events"): "",
    ("GET", "/api/v1/events/export"): "format=csv",
    ("GET", "/api/v1/changes/export"): "format=json",
    ("GET", "/api/v1/workloads/export"): "format=json",
    ("GET", "/api/v1/agents/export"): "format=csv",
    ("GET", "/api/v1/audit/export"): "format=json",
    ("GET", "/api/v1/runs"): "",
    ("GET", "/api/v1/runs/{run_id}"): "",
    ("GET", "/api/v1/runs/{run_id}/tasks"): "",
    ("GET", "/api/v1/runs/{run_id}/tasks/export"): "format=json",
    ("GET", "/api/v1/packages"): "",
    ("GET", "/api/v1/poison"): "",
    ("GET", "/api/v1/rollouts"): "",
    ("GET", "/api/v1/alarms"): "",
    ("GET", "/api/v1/views"): "",
    ("GET", "/api/v1/users"): "",
    ("GET", "/api/v1/tokens"): "",
    ("GET", "/api/v1/audit"): "",
    ("GET", "/api/v1/overview"): "",
    ("GET", "/api/v1/taxonomy"): "",
    ("GET", "/api/v1/me"): "",
    ("GET", "/api/v1/audit/verify"): "",
    ("GET", "/api/v1/system"): "",
    ("GET", "/api/v1/jobs"): "",
}
# One thing by id: another tenant's id is a 404, and changes nothing.
THINGS: dict[tuple[str, str], Any] = {
    ("GET", "/api/v1/asset/{asset_id}"): None,
    ("GET", "/api/v1/workloads/{workload_id}"): None,
    ("GET", "/api/v1/workloads/{workload_id}/ledger"): None,
    ("GET", "/api/v1/workloads/{workload_id}/tasks"): None,
    ("POST", "/api/v1/workloads/{workload_id}/tasks"): {"kind": "collect"},
    ("PUT", "/api/v1/workloads/{workload_id}/desired"): {
        "version": 0,
        "schedule": {},
        "budget": {},
    },
    ("POST", "/api/v1/agents/{agent_id}/revoke"): None,
    ("DELETE", "/api/v1/enrolments/{enrolment_id}"): None,
    ("PATCH", "/api/v1/users/{user_id}"): {"disabled": True},
    ("POST", "/api/v1/users/{user_id}/reset"): None,
    ("DELETE", "/api/v1/users/{user_id}"): None,
    ("DELETE", "/api/v1/tokens/{token_id}"): None,
    ("GET", "/api/v1/runs/{run_id}"): None,
    ("GET", "/api/v1/runs/{run_id}/tasks"): None,
    ("GET", "/api/v1/runs/{run_id}/tasks/export"): None,
    ("POST", "/api/v1/runs/{run_id}/cancel"): None,
    ("POST", "/api/v1/tasks/{task_id}/cancel"): None,
    ("DELETE", "/api/v1/workloads/{workload_id}"): None,
    ("GET", "/api/v1/rollouts/{rollout_id}"): None,
    ("GET", "/api/v1/rollouts/{rollout_id}/agents"): None,
    ("POST", "/api/v1/rollouts/{rollout_id}/pause"): None,
    ("POST", "/api/v1/rollouts/{rollout_id}/resume"): None,
    ("POST", "/api/v1/rollouts/{rollout_id}/cancel"): None,
    ("POST", "/api/v1/alarms/{alarm_id}/acknowledge"): None,
    ("PUT", "/api/v1/views/{view_id}"): {"name": "mine now", "path": "/inventory"},
    ("DELETE", "/api/v1/views/{view_id}"): None,
}
# Tested by name below, or without anything of a tenant.
NAMED = {
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/stream"),
    ("POST", "/api/v1/runs"),
    # Two tenants with the same package: test_rollouts, unit/store/test_packages.
    ("POST", "/api/v1/packages"),
    ("DELETE", "/api/v1/packages/{sha256}"),
    ("POST", "/api/v1/rollouts"),
    ("POST", "/api/v1/views"),
    ("POST", "/api/v1/users"),
    ("POST", "/api/v1/tokens"),
    ("POST", "/api/v1/enrolments"),
    ("GET", "/api/v1/tenants"),
    ("POST", "/api/v1/tenants"),
}
OUTSIDE = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/schema",
    "/schema/openapi.json",
    "/schema/{path}",
    "/",
    "/{path}",
}


def routes(stack: apikit.Stack) -> set[tuple[str, str]]:
    found = set()
    for route in stack.app.routes:
        path = route.path_format
        if path in OUTSIDE:
            continue
        methods = set(getattr(route, "methods", ())) - {"OPTIONS", "HEAD"}
        found |= {(m, path) for m in methods}
    return found


def test_every_route_has_a_case(two: Two) -> None:
    assert routes(two.stack) == set(LISTS) | set(THINGS) | NAMED


def call(two: Two, tenant: str, method: str, path: str, ids_of: str, body: Any, query: str) -> Any:
    url = path.format(**two.ids[ids_of]) + (f"?{query}" if query else "")
    with two.stack.client() as client:
        return client.request(method, url, json=body, headers=two.stack.token(tenant, "admin"))


@pytest.mark.parametrize(("tenant", "stranger"), [("default", "other"), ("other", "default")])
@pytest.mark.parametrize(("method", "path"), sorted(LISTS))
def test_lists_hold_nothing_of_the_other(
    two: Two, method: str, path: str, tenant: str, stranger: str
) -> None:
    answer = call(two, tenant, method, path, tenant, None, LISTS[method, path])
    assert answer.status_code == 200, answer.text
    for secret in [
        f"{stranger}-one",
        f"1-{stranger}",
        f"cat-{stranger}",
        f"by-{stranger}",
        f"sensor of {stranger}",
        f"for {stranger}",
        *(v for k, v in two.ids[stranger].items() if k != "subclass"),
    ]:
        assert secret not in answer.text


@pytest.mark.parametrize(
    ("path", "query", "own"),
    [
        ("/api/v1/assets/{subclass}", "", "1-{t}"),
        ("/api/v1/assets/{subclass}/facets", "field=version", "1-{t}"),
        ("/api/v1/assets/{subclass}/export", "format=json", "1-{t}"),
        ("/api/v1/changes", "", "{t}-one"),
        ("/api/v1/workloads", "", "{t}-one"),
        ("/api/v1/agents", "", "{t}-one"),
        ("/api/v1/ledger", "", "sensor of {t}"),
        ("/api/v1/enrolments", "", "for {t}"),
        ("/api/v1/events", "table=network_activity", "cat-{t}"),
        ("/api/v1/events/export", "format=csv", "cat-{t}"),
        ("/api/v1/changes/export", "format=csv", "{t}-one"),
        ("/api/v1/workloads/export", "format=csv", "{t}-one"),
        ("/api/v1/agents/export", "format=csv", "{t}-one"),
        ("/api/v1/audit/export", "format=csv", "view for {t}"),
        ("/api/v1/runs/{run_id}/tasks", "", "{t}-one"),
        ("/api/v1/runs/{run_id}/tasks/export", "format=csv", "{t}-one"),
        ("/api/v1/runs", "", '"total":1'),
        ("/api/v1/packages", "", "for {t}"),
        ("/api/v1/rollouts", "", "by-{t}"),
        ("/api/v1/alarms", "", "file of {t}"),
        ("/api/v1/views", "", "view for {t}"),
        ("/api/v1/overview", "", '"workloads":1'),
    ],
)
@pytest.mark.parametrize("tenant", ["default", "other"])
def test_lists_hold_ones_own(two: Two, path: str, query: str, own: str, tenant: str) -> None:
    answer = call(two, tenant, "GET", path, tenant, None, query)
    assert own.replace("{t}", tenant) in answer.text


@pytest.mark.parametrize(("tenant", "stranger"), [("default", "other"), ("other", "default")])
@pytest.mark.parametrize(("method", "path"), sorted(THINGS))
def test_things_of_the_other_are_not_found(
    two: Two, method: str, path: str, tenant: str, stranger: str
) -> None:
    before = everything(two, stranger)
    answer = call(two, tenant, method, path, stranger, THINGS[method, path], "")
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not_found"
    assert everything(two, stranger) == before


def everything(two: Two, tenant: str) -> list[str]:
    paths = ["agents", "enrolments", "users", "tokens", "workloads", "audit/verify"]
    paths += ["views", "runs", "packages", "rollouts", "alarms"]
    home = two.ids[tenant]["workload_id"]
    with two.stack.client() as client:
        return [
            client.get(f"/api/v1/{p}", headers=two.stack.token(tenant, "admin")).text
            for p in [*paths, f"workloads/{home}", f"workloads/{home}/tasks"]
        ]


def test_a_filter_cannot_reach_over(two: Two) -> None:
    home = two.ids["other"]["workload_id"]
    with two.stack.client() as client:
        for url in [
            f"/api/v1/assets/{PACKAGE}?filter=workload={home}",
            f"/api/v1/assets/{PACKAGE}?workload={home}",
            f"/api/v1/events?workload={home}",
            f"/api/v1/events?filter=workload={home} or name is null",
            f"/api/v1/changes?workload={home}",
            f"/api/v1/agents?filter=workload={home}",
        ]:
            answer = client.get(url, headers=two.stack.token("default", "admin"))
            assert answer.json()["items"] == [], url


def test_a_cursor_of_the_other_is_refused(two: Two) -> None:
    for tenant in ("default", "other"):
        home = two.ids[tenant]["workload_id"]
        for n in range(3):
            two.stack.asset(tenant, home, "access.group", f"g{n}", name=f"g{n}")
    with two.stack.client() as client:
        url = "/api/v1/assets/access.group?limit=1"
        mine = client.get(url, headers=two.stack.token("default", "admin")).json()["next"]
        again = client.get(f"{url}&cursor={mine}", headers=two.stack.token("other", "admin"))
    assert again.status_code == 400
    assert again.json()["field"] == "cursor"


def test_edges_stay_inside(two: Two) -> None:
    for tenant, stranger in (("default", "other"), ("other", "default")):
        found = call(two, tenant, "GET", "/api/v1/asset/{asset_id}", tenant, None, "").json()
        assert [e["evidence"] for e in found["edges"]] == [f"told by {tenant}"]
        assert stranger not in json.dumps(found["edges"])


def test_same_user_name_two_tenants(two: Two) -> None:
    with two.stack.client() as client:
        for tenant in ("default", "other"):
            opened = client.post(
                "/api/v1/session", json={"name": f"carol@{tenant}", "password": apikit.PASSWORD}
            )
            assert opened.json()["tenant"] == tenant
            assert client.get("/api/v1/me").json()["tenant"] == tenant
            csrf = {"X-Hauberk-CSRF": opened.json()["csrf"]}
            assert client.delete("/api/v1/session", headers=csrf).status_code == 204


def test_the_tenant_header_is_for_the_local_socket(two: Two) -> None:
    header = {"X-Hauberk-Tenant": "other"}
    with two.stack.client() as client:
        both = header | two.stack.token("default", "admin")
        assert client.get("/api/v1/workloads", headers=both).status_code == 403
        assert client.get("/api/v1/workloads", headers=header).status_code == 403
    with two.stack.client(local=True) as client:
        found = client.get("/api/v1/workloads", headers=header).json()["items"]
        assert sorted(w["id"] for w in found) == ["other-gone", "other-one"]
        assert client.get("/api/v1/me").json()["tenant"] == "default"
        missing = client.get("/api/v1/me", headers={"X-Hauberk-Tenant": "nobody"})
        assert missing.status_code == 404


def test_only_the_operator_sees_tenants(two: Two) -> None:
    with two.stack.client() as client:
        for tenant, role, status in [
            ("default", "admin", 200),
            ("default", "analyst", 403),
            ("other", "admin", 403),
        ]:
            answer = client.get("/api/v1/tenants", headers=two.stack.token(tenant, role))
            assert answer.status_code == status
        made = client.post(
            "/api/v1/tenants", json={"id": "third"}, headers=two.stack.token("other", "admin")
        )
        assert made.status_code == 403


def test_made_things_belong_to_their_maker(two: Two) -> None:
    with two.stack.client() as client:
        for path, body in [
            ("users", {"name": "dave", "role": "viewer"}),
            ("tokens", {"name": "robot", "role": "viewer"}),
            ("enrolments", {"note": "new"}),
        ]:
            made = client.post(
                f"/api/v1/{path}", json=body, headers=two.stack.token("other", "admin")
            )
            assert made.status_code == 201, made.text
            listed = client.get(f"/api/v1/{path}", headers=two.stack.token("default", "admin"))
            assert made.json()["id"] not in listed.text


def test_streams_are_apart(two: Two) -> None:
    heard: dict[str, list[str]] = {"default": [], "other": []}

    async def listen(tenant: str) -> None:
        async with two.stack.context.feed.subscribe(tenant, ["changes"]) as notices:
            async for notice in notices:
                heard[tenant].append(notice.workload)
                return

    async def main() -> None:
        readers = [asyncio.create_task(listen(t)) for t in heard]
        await asyncio.sleep(0)
        for tenant in heard:
            notice = Notice(topic="changes", at_ms=1, workload=f"{tenant}-one")
            two.stack.context.feed.publish(tenant, notice)
        await asyncio.gather(*readers)

    asyncio.run(main())
    assert heard == {"default": ["default-one"], "other": ["other-one"]}
