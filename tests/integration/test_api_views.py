"""Saved views over the API: whose they are, who sees them, what may be in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import pytest
from litestar.testing import TestClient

from hauberk.store import audit

VIEWS = "/api/v1/views"
BODY = {"name": "late ones", "path": "/agents", "query": "q=state+%3D+late&sort=-last_beat_ms"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[apikit.Stack]:
    made = apikit.make(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(stack: apikit.Stack) -> Iterator[TestClient[Any]]:
    with stack.client() as client:
        yield client


def login(stack: apikit.Stack, client: TestClient[Any], name: str, role: str) -> dict[str, str]:
    """The headers of a session of its own."""
    stack.user("default", name, role)
    client.cookies.clear()
    opened = client.post("/api/v1/session", json={"name": name, "password": apikit.PASSWORD})
    cookie = opened.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    return {"Cookie": cookie, "X-Hauberk-CSRF": opened.json()["csrf"]}


def names(client: TestClient[Any], headers: dict[str, str], query: str = "") -> list[str]:
    answer = client.get(f"{VIEWS}{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [view["name"] for view in answer.json()["items"]]


def test_own_and_shared_ones(stack: apikit.Stack, client: TestClient[Any]) -> None:
    ann, bob = login(stack, client, "ann", "viewer"), login(stack, client, "bob", "analyst")
    boss = login(stack, client, "boss", "admin")
    mine = client.post(VIEWS, json=BODY, headers=ann)
    assert mine.status_code == 201, mine.text
    view = mine.json()
    assert (view["owner"], view["mine"], view["shared"]) == ("ann", True, False)
    assert (view["path"], view["query"]) == (BODY["path"], BODY["query"])
    assert names(client, bob) == []
    # What one may not see is not there, for admins too.
    for other in (bob, boss):
        url = f"{VIEWS}/{view['id']}"
        assert client.put(url, json=BODY, headers=other).status_code == 404
        assert client.delete(url, headers=other).status_code == 404
    shared = client.put(f"{VIEWS}/{view['id']}", json=BODY | {"shared": True}, headers=ann)
    assert shared.json()["shared"] is True
    seen = client.get(VIEWS, headers=bob).json()["items"][0]
    assert (seen["owner"], seen["mine"]) == ("ann", False)
    assert client.put(f"{VIEWS}/{view['id']}", json=BODY, headers=bob).status_code == 403
    assert client.put(f"{VIEWS}/{view['id']}", json=BODY, headers=boss).status_code == 403
    assert client.delete(f"{VIEWS}/{view['id']}", headers=bob).status_code == 403
    assert client.delete(f"{VIEWS}/{view['id']}", headers=boss).status_code == 204
    assert names(client, ann) == []


def test_sharing_is_audited(stack: apikit.Stack, client: TestClient[Any]) -> None:
    ann = login(stack, client, "ann", "viewer")

    def actions() -> list[tuple[str, str]]:
        page = audit.page(stack.engine, "default", "action ~ view", None, 100, 0)
        return [(e.action, e.actor) for e in reversed(page.items)]

    made = client.post(VIEWS, json=BODY, headers=ann).json()["id"]
    client.put(f"{VIEWS}/{made}", json=BODY | {"name": "b"}, headers=ann)
    assert actions() == []
    client.put(f"{VIEWS}/{made}", json=BODY | {"shared": True}, headers=ann)
    client.put(f"{VIEWS}/{made}", json=BODY, headers=ann)
    assert actions() == [("view.replace", "session:ann")] * 2
    client.put(f"{VIEWS}/{made}", json=BODY | {"shared": True}, headers=ann)
    client.delete(f"{VIEWS}/{made}", headers=ann)
    assert [a for a, _ in actions()] == ["view.replace"] * 3 + ["view.delete"]
    assert audit.verify(stack.engine, "default").intact


def test_names_are_single_per_owner(stack: apikit.Stack, client: TestClient[Any]) -> None:
    ann, token = login(stack, client, "ann", "viewer"), stack.token("default", "viewer")
    first = client.post(VIEWS, json=BODY, headers=ann).json()
    again = client.post(VIEWS, json=BODY | {"name": "  late ones "}, headers=ann)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    other = client.post(VIEWS, json=BODY, headers=token)
    assert (other.status_code, other.json()["owner"]) == (201, "token:test-viewer")
    second = client.post(VIEWS, json=BODY | {"name": "b"}, headers=ann).json()
    taken = client.put(f"{VIEWS}/{second['id']}", json=BODY, headers=ann)
    assert taken.status_code == 409
    same = client.put(f"{VIEWS}/{first['id']}", json=BODY | {"query": "?q=x"}, headers=ann)
    assert (same.status_code, same.json()["query"]) == (200, "q=x")
    assert names(client, ann) == ["b", "late ones"]
    assert names(client, ann, "?limit=1") == ["b"]
    assert names(client, ann, "?filter=name ~ late") == ["late ones"]


def test_the_local_operator_has_views_too(stack: apikit.Stack) -> None:
    with stack.client(local=True) as client:
        made = client.post(VIEWS, json=BODY | {"shared": True})
        assert made.json()["owner"] == "local:root"
        other = {"X-Hauberk-Tenant": "other"}
        assert client.get(VIEWS, headers=other).json()["items"] == []
        assert client.get(f"{VIEWS}?filter=mine=true").json()["total"] == 1


def test_too_many_are_refused(stack: apikit.Stack, client: TestClient[Any]) -> None:
    ann = stack.token("default", "viewer")
    codes = [
        client.post(VIEWS, json=BODY | {"name": str(n)}, headers=ann).status_code
        for n in range(201)
    ]
    assert codes == [201] * 200 + [409]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({"path": path}, "path") for path in (
            "", "inventory", "//evil.example", "/\\evil.example", "https://evil.example/",
            "javascript:alert(1)", "/a//b", "/a/../b", "/./a", "/a?b=c", "/a#b", "/api/v1/users",
            "/\t/evil.example", "/%2f/evil.example", "/a\n", "/" + "a" * 300,
        )),
        ({"query": "x" * 9000}, "query"),
        ({"query": "a#b"}, "query"),
        ({"query": "a\nb"}, "query"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\u202eb"}, "name"),
    ],
)  # fmt: skip
def test_only_pages_of_the_console(
    stack: apikit.Stack, client: TestClient[Any], change: dict[str, str], field: str
) -> None:
    answer = client.post(VIEWS, json=BODY | change, headers=stack.token("default", "viewer"))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    "path", ["/", "/inventory/software.os_package", "/workloads/1f-2/", "/a:b"]
)
def test_paths_of_the_console_are_taken(
    stack: apikit.Stack, client: TestClient[Any], path: str
) -> None:
    answer = client.post(
        VIEWS, json=BODY | {"path": path}, headers=stack.token("default", "viewer")
    )
    assert (answer.status_code, answer.json()["path"]) == (201, path)


def test_a_cookie_alone_changes_nothing(stack: apikit.Stack, client: TestClient[Any]) -> None:
    ann = login(stack, client, "ann", "viewer")
    made = client.post(VIEWS, json=BODY, headers=ann).json()["id"]
    bare = {"Cookie": ann["Cookie"]}
    assert client.post(VIEWS, json=BODY | {"name": "c"}, headers=bare).status_code == 403
    assert client.put(f"{VIEWS}/{made}", json=BODY, headers=bare).status_code == 403
    assert client.delete(f"{VIEWS}/{made}", headers=bare).status_code == 403
    assert names(client, bare) == ["late ones"]
