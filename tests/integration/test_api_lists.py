"""Lists over real stores: every row once while rows come and go, exports, facets, hostile text."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apikit
import pytest
from litestar.testing import TestClient
from sqlalchemy import update

from hauberk.schema.text import from_bytes
from hauberk.store.database import write
from hauberk.store.tables import asset

HOSTILE = [
    "<script>alert(1)</script>",
    "'; DROP TABLE asset; --",
    '"quoted" \\ back',
    '=cmd|" /C calc"!A0',
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "%s {} ${jndi:ldap://x}",
    "名字 with spaces\u2028",
    from_bytes(b"bad \xff\xfe bytes"),
    "new\nline",
]
USERS = "/api/v1/assets/access.user"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[apikit.Stack]:
    made = apikit.make(tmp_path)
    yield made
    made.close()


@pytest.fixture
def home(stack: apikit.Stack) -> str:
    return stack.workload("default", "one")


@pytest.fixture
def client(stack: apikit.Stack) -> Iterator[TestClient[Any]]:
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        yield client


def pages(client: TestClient[Any], url: str) -> Iterator[list[dict[str, Any]]]:
    cursor = ""
    while True:
        answer = client.get(f"{url}&cursor={cursor}" if cursor else url)
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        cursor = answer.json()["next"]
        if not cursor:
            return


@pytest.mark.parametrize("sort", ["", "name", "-name", "uid", "-uid", "-first_seen_ms"])
def test_every_row_once_while_rows_are_added(
    stack: apikit.Stack, home: str, client: TestClient[Any], sort: str
) -> None:
    # uid repeats and is sometimes missing; labels repeat too.
    for n in range(60):
        fields: dict[str, Any] = {"name": f"u{n % 7}"}
        if n % 5:
            fields["uid"] = n % 4
        stack.asset("default", home, "access.user", f"k{n}", **fields)
    stop = threading.Event()

    def add() -> None:
        n = 0
        while not stop.is_set() and n < 200:
            stack.asset("default", home, "access.user", f"new{n}", name=f"u{n % 9}", uid=n % 5)
            n += 1

    writer = threading.Thread(target=add)
    writer.start()
    try:
        seen = [
            row["key"] for page in pages(client, f"{USERS}?limit=7&sort={sort}") for row in page
        ]
    finally:
        stop.set()
        writer.join()
    assert len(seen) == len(set(seen))
    assert {f"k{n}" for n in range(60)} <= set(seen)


def test_changes_and_audit_page_once(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    for n in range(25):
        stack.asset("default", home, "access.user", f"k{n}", name="u")
    seen = [row["seq"] for page in pages(client, "/api/v1/changes?limit=4") for row in page]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 25
    for n in range(9):
        client.post("/api/v1/enrolments", json={"note": str(n)})
    seen = [row["seq"] for page in pages(client, "/api/v1/audit?limit=2") for row in page]
    assert seen == list(range(len(seen), 0, -1))
    notes = [row["note"] for page in pages(client, "/api/v1/enrolments?limit=2") for row in page]
    assert sorted(notes) == [str(n) for n in range(9)]


def test_events_page_once_newest_first_while_events_arrive(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    day = 86_400 * 10**9
    for batch in range(6):
        stack.clock.now = apikit.NOW_NS + batch * day // 3
        rows = [{"pid": batch * 10 + n, "name": "x"} for n in range(10)]
        stack.events("default", home, "process_activity", rows)
    seen: list[int] = []
    for number, page in enumerate(pages(client, "/api/v1/events?limit=7")):
        seen += [row["fields"]["pid"] for row in page]
        stack.events("default", home, "process_activity", [{"pid": 1000 + number}])
    assert seen == list(range(59, -1, -1))
    newest = client.get("/api/v1/events?limit=1").json()["items"][0]["fields"]["pid"]
    assert newest >= 1000


def test_own_events_are_hidden_until_asked_for(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    rows = [{"pid": 1, "is_self": True}, {"pid": 2}]
    stack.events("default", home, "process_activity", rows)
    assert [e["fields"]["pid"] for e in client.get("/api/v1/events").json()["items"]] == [2]
    both = client.get("/api/v1/events?self=true").json()["items"]
    assert [e["fields"]["pid"] for e in both] == [2, 1]


def test_events_by_time_workload_and_host(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    second = stack.workload("default", "two", hostname="db-1")
    stack.events("default", home, "network_activity", [{"dst_port": 22, "dst_ip": "10.0.0.1"}])
    stack.clock.forward(100)
    stack.events("default", second, "network_activity", [{"dst_port": 443, "dst_ip": "::1"}])
    base = "/api/v1/events?table=network_activity"
    since = (apikit.NOW_NS // 10**6) + 1

    def ports(query: str) -> list[int]:
        answer = client.get(base + query)
        assert answer.status_code == 200, answer.text
        return [e["fields"]["dst_port"] for e in answer.json()["items"]]

    assert ports("") == [443, 22]
    assert ports(f"&since_ms={since}") == [443]
    assert ports(f"&until_ms={since}") == [22]
    assert ports(f"&workload={home}") == [22]
    assert ports("&filter=hostname=db-1") == [443]
    assert ports("&filter=not hostname~DB") == [22]
    assert ports("&filter=dst_port in (22, 3389)") == [22]
    assert ports('&filter=dst_ip=~"^10\\\\."') == [22]


def test_columns_that_old_agents_lack_read_as_null(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    rows = [{"pid": 1}]
    stack.events("default", home, "process_activity", rows, drop=("parent_name", "exit_code"))
    found = client.get("/api/v1/events?filter=parent_name is null").json()["items"]
    assert [e["fields"]["parent_name"] for e in found] == [None]
    stack.events("default", home, "process_activity", [{"pid": 2, "parent_name": "sh"}])
    found = client.get("/api/v1/events?filter=not parent_name is null").json()["items"]
    assert [e["fields"]["pid"] for e in found] == [2]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives_and_is_inert(
    stack: apikit.Stack, client: TestClient[Any], text: str
) -> None:
    home = stack.workload("default", "evil", hostname=text)
    made = stack.asset("default", home, "access.user", text, name=text, uid=1)
    stack.events("default", home, "process_activity", [{"name": "x", "argv": [text, "--"]}])
    exact = quote('name = "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    found = client.get(f"{USERS}?filter={exact}")
    assert [r["fields"]["name"] for r in found.json()["items"]] == [text]
    assert [r["hostname"] for r in found.json()["items"]] == [text]
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/api/v1/asset/{made}").json()["asset"]["label"] == text
    host = quote('hostname ~ "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    for path in ("/api/v1/workloads", "/api/v1/agents", "/api/v1/changes", "/api/v1/events"):
        items = client.get(f"{path}?filter={host}").json()["items"]
        assert len(items) == 1, path
        assert items[0]["hostname"] == text
    argv = quote('argv = "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    found = client.get(f"/api/v1/events?filter={argv}").json()["items"]
    assert found[0]["fields"]["argv"] == [text, "--"]
    for path in (f"{USERS}/export?format=csv", "/api/v1/events/export?format=csv"):
        rows = list(csv.reader(io.StringIO(client.get(path).text)))
        assert len(rows) == 2
        for cell in rows[1]:
            assert not cell.startswith(("=", "+", "@", "\t", "\r"))
            assert not cell.startswith("-") or cell[1:].isdigit()
    assert client.get(USERS).json()["total"] == 1


def test_facets_count_what_the_filter_leaves(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    for n in range(9):
        stack.asset(
            "default", home, "access.user", f"k{n}", name=f"u{n % 3}", groups=["a", f"g{n % 2}"]
        )
    facets = client.get(f"{USERS}/facets?field=name").json()
    assert [(v["value"], v["count"]) for v in facets["values"]] == [("u0", 3), ("u1", 3), ("u2", 3)]
    facets = client.get(f"{USERS}/facets?field=name&filter=name!=u1").json()
    assert [v["value"] for v in facets["values"]] == ["u0", "u2"]
    hosts = client.get(f"{USERS}/facets?field=hostname").json()
    assert [(v["value"], v["count"]) for v in hosts["values"]] == [("web-1", 9)]
    assert client.get(f"{USERS}/facets?field=nope").status_code == 400


def test_gone_and_changed_since(stack: apikit.Stack, home: str, client: TestClient[Any]) -> None:

    old = stack.asset("default", home, "access.user", "old", name="old")
    new = stack.asset("default", home, "access.user", "new", name="new")
    with write(stack.engine) as db:
        db.execute(update(asset).where(asset.c.id == old).values(gone_ns=apikit.NOW_NS))
        later = apikit.NOW_NS + 10**9
        db.execute(update(asset).where(asset.c.id == new).values(changed_ns=later))
    assert [r["key"] for r in client.get(USERS).json()["items"]] == ["new"]
    both = client.get(f"{USERS}?gone=true").json()["items"]
    assert {r["key"]: r["gone_ms"] for r in both} == {"old": apikit.NOW_NS // 10**6, "new": None}
    since = apikit.NOW_NS // 10**6 + 1
    changed = client.get(f"{USERS}?gone=true&changed_since={since}").json()["items"]
    assert [r["key"] for r in changed] == ["new"]


def test_wrong_requests_say_what_mends_them(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    stack.asset("default", home, "access.user", "a", name="a")
    stack.asset("default", home, "access.user", "b", name="b")
    cursor = client.get(f"{USERS}?limit=1").json()["next"]
    for url, status, code, hint in [
        (f"{USERS}?filter=nope=1", 400, "bad_filter", "known: "),
        (f"{USERS}?filter=name=(", 400, "bad_filter", "expected a value"),
        (f"{USERS}?filter=uid=abc", 400, "bad_filter", "a whole number"),
        (f'{USERS}?filter=name=~"(a"', 400, "bad_filter", "RE2"),
        (f"{USERS}?sort=nope", 400, "bad_filter", "known: "),
        (f"{USERS}?limit=0", 400, "bad_request", "limit"),
        (f"{USERS}?limit=1001", 400, "bad_request", "limit"),
        (f"{USERS}?fliter=name=a", 400, "bad_input", "known: "),
        (f"{USERS}?cursor=abc", 400, "bad_input", "cursor"),
        (f"{USERS}?limit=1&sort=-name&cursor={cursor}", 400, "bad_input", "another list"),
        (f"{USERS}?limit=1&filter=name=a&cursor={cursor}", 400, "bad_input", "another list"),
        (f"/api/v1/changes?cursor={cursor}", 400, "bad_input", "another list"),
        (f"/api/v1/events?cursor={cursor}", 400, "bad_input", "another list"),
        ("/api/v1/events?table=nope", 400, "bad_request", "table"),
        ("/api/v1/events?filter=nope=1", 400, "bad_filter", "known: "),
        ("/api/v1/assets/nope.nope", 404, "not_found", "taxonomy"),
        ("/api/v1/asset/nope", 404, "not_found", "asset"),
        ("/api/v1/nope", 404, "not_found", ""),
    ]:
        answer = client.get(url)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (status, code), (url, body)
        assert hint in body["message"], (url, body)
        assert "Traceback" not in answer.text


def test_bodies_are_bounded_and_strict(client: TestClient[Any]) -> None:
    huge = client.post("/api/v1/users", json={"name": "x" * 2_000_000, "role": "viewer"})
    assert huge.status_code == 413
    for body, status in [
        ({"name": "a", "role": "viewer", "admin": True}, 400),
        ({"name": "a"}, 400),
        ({"name": "a", "role": "root"}, 400),
        ({"name": "A B", "role": "viewer"}, 400),
        ({"name": "a", "role": "viewer", "password": "short"}, 400),
        (["a"], 400),
    ]:
        answer = client.post("/api/v1/users", json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["message"]
    form = client.post("/api/v1/users", data={"name": "a", "role": "viewer"})
    assert form.status_code == 415
    broken = client.post(
        "/api/v1/users", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert broken.status_code == 400


def test_desired_state_is_checked(stack: apikit.Stack, home: str, client: TestClient[Any]) -> None:
    url = f"/api/v1/workloads/{home}/desired"

    def put(version: int, schedule: dict[str, Any], budget: dict[str, Any]) -> int:
        body = {"version": version, "schedule": schedule, "budget": budget}
        return client.put(url, json=body).status_code

    assert put(0, {"every_s": {"access.user": 60}}, {"background_pct": 2}) == 200
    assert put(0, {}, {}) == 409
    assert put(1, {"every_s": {"nope": 60}}, {}) == 400
    assert put(1, {"every_s": {"access.user": 1}}, {}) == 400
    assert put(1, {}, {"background_pct": 0}) == 400
    assert put(1, {"jitter": 2}, {}) == 400
    assert put(1, {"unknown": 2}, {}) == 400
    detail = client.get(f"/api/v1/workloads/{home}").json()
    assert detail["desired_version"] == 1
    assert detail["schedule"]["every_s"] == {"access.user": 60}


def test_tasks_expire_on_time(stack: apikit.Stack, home: str, client: TestClient[Any]) -> None:
    url = f"/api/v1/workloads/{home}/tasks"
    made = client.post(url, json={"kind": "collect", "subclasses": ["access.user"], "ttl_s": 60})
    assert made.json()["state"] == "pending"
    stack.clock.forward(61)
    assert [t["state"] for t in client.get(url).json()["items"]] == ["expired"]
    assert client.get(f"{url}?filter=state=pending").json()["items"] == []
    assert client.post(url, json={"kind": "collect", "subclasses": ["nope"]}).status_code == 400
    assert client.post(url, json={"kind": "reload"}).status_code == 400


def test_agent_states_follow_the_clock(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    def state() -> str:
        return str(client.get("/api/v1/agents").json()["items"][0]["state"])

    assert state() == "online"
    stack.clock.forward(60)
    assert state() == "late"
    stack.clock.forward(600)
    assert state() == "offline"
    client.post(f"/api/v1/agents/agent-{home}/revoke")
    assert state() == "revoked"
    assert client.get("/api/v1/overview").json()["agents"] == {"revoked": 1}


def test_overview_says_not_assessed_where_nothing_looked(
    stack: apikit.Stack, client: TestClient[Any]
) -> None:
    empty = client.get("/api/v1/overview").json()
    assert empty["first_run"] is True
    assert (empty["changes_24h"], empty["events_24h"], empty["risks"]) == (None, None, None)
    assert {c["rows"] for c in empty["assets"]} == {None}
    home = stack.workload("default", "one")
    stack.asset("default", home, "access.user", "root", name="root")
    stack.collected("default", home, "access.user")
    stack.collected("default", home, "access.group", "error")
    stack.events("default", home, "blind_time", [{"lost": 7, "reason": "ring full"}])
    full = client.get("/api/v1/overview").json()
    assert full["first_run"] is False
    assert full["changes_24h"] == {"added": 1, "changed": 0, "removed": 0}
    assert full["events_24h"] == {"blind_time": 1}
    assert full["blind"][0]["fields"]["lost"] == 7
    assert full["roles"] == [{"role": "nginx", "title": ["nginx", "nginx"], "workloads": 1}]
    assert full["tiers"] == {"B": 1}
    subs = {
        s["id"]: (s["state"], s["rows"])
        for c in client.get("/api/v1/taxonomy").json()
        for s in c["subclasses"]
    }
    assert len(subs) == 38
    assert subs["access.user"] == ("assessed", 1)
    assert subs["access.group"] == ("error", None)
    assert subs["hardware.nic"][1] is None
    stack.clock.forward(2 * 86_400)
    later = client.get("/api/v1/overview").json()
    assert (later["changes_24h"], later["events_24h"]) == (None, None)


def test_integers_beyond_53_bits_are_text(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    big = 2**53 + 1
    stack.events("default", home, "process_activity", [{"cgroup_id": big, "pid": 5}])
    found = client.get(f'/api/v1/events?filter=cgroup_id = "{big}"').json()["items"][0]["fields"]
    assert found["cgroup_id"] == str(big)
    assert found["pid"] == 5
