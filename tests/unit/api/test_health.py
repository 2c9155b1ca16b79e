from __future__ import annotations

import asyncio
import dataclasses

import httpx
import pytest

from hauberk.api.app import create


def ask(stack, peer, path, headers=None, **changes):
    context = dataclasses.replace(stack.context, **changes)
    transport = httpx.ASGITransport(create(context), client=(peer, 1))

    async def main():
        async with httpx.AsyncClient(transport=transport, base_url="https://x") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(main())


def test_ready_names_each_part(stack):
    with stack.client() as client:
        assert client.get("/healthz").json()["ok"] is True
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ok"]) == (200, True)
    checks = {"inbox": lambda: "no room: free space", "database": lambda: ""}
    ready = ask(stack, "127.0.0.1", "/readyz", checks=checks)
    assert (ready.status_code, ready.json()["ok"]) == (503, False)
    assert ready.json()["parts"] == [
        {"name": "database", "ok": True, "message": ""},
        {"name": "inbox", "ok": False, "message": "no room: free space"},
    ]
    assert ask(stack, "1.1.1.1", "/healthz", checks=checks).status_code == 200


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.1", {}, 401),
        ("testclient", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 401),
        ("10.0.0.1", {"Authorization": "Bearer hbt_wrong"}, 401),
    ],
)
def test_who_may_read_metrics(stack, peer, headers, status):
    assert ask(stack, peer, "/metrics", headers).status_code == status


def test_metrics_by_token_of_the_operators_tenant(stack):
    answer = ask(stack, "10.0.0.1", "/metrics", stack.token("default", "viewer"))
    assert answer.status_code == 200
    assert "hauberk_http_requests_total" in answer.text
    other = ask(stack, "10.0.0.1", "/metrics", stack.token("other", "admin"))
    assert other.status_code == 401
    with stack.client(local=True) as client:
        assert client.get("/metrics").status_code == 200


def test_what_is_wrong_is_told_to_the_operator_alone(stack):
    checks = {"lake": lambda: "/data/lake/secret-tenant: no room"}
    for peer, headers, told in (
        ("127.0.0.1", None, True),
        ("10.0.0.1", None, False),
        ("10.0.0.1", stack.token("default", "viewer"), True),
        ("10.0.0.1", stack.token("other", "admin"), False),
    ):
        ready = ask(stack, peer, "/readyz", headers, checks=checks)
        assert (ready.status_code, "secret-tenant" in ready.text) == (503, told)


def test_an_inbox_that_takes_nothing_is_not_ready(stack, monkeypatch):
    monkeypatch.setattr(stack.context.inbox, "_max_items", 0)
    ready = ask(stack, "127.0.0.1", "/readyz", checks={})
    assert ready.status_code == 503
    assert ready.json()["parts"][0]["name"] == "inbox"
    assert "agents have to wait" in ready.json()["parts"][0]["message"]
