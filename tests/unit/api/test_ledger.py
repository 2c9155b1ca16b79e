from __future__ import annotations

URL = "/api/v1/ledger"


def test_the_fleets_cost_of_this_tenant_only(stack):
    stack.workload("default", "one", hostname="web-1")
    stack.workload("default", "two", hostname="db-1")
    with stack.client() as client:
        client.headers.update(stack.token("default", "viewer"))
        (row,) = client.get(URL, params={"since_ms": 0}).json()["items"]
        assert (row["capability"], row["workloads"], row["cpu_s"]) == ("sensor of default", 2, 1.0)
        assert row["cpu_pct"] > 0
        found = client.get(URL, params={"by": "workload", "since_ms": 0, "limit": 1}).json()
        assert found["total"] == 2
        more = client.get(
            URL, params={"by": "workload", "since_ms": 0, "limit": 1, "cursor": found["next"]}
        ).json()
        names = {r["hostname"] for r in found["items"] + more["items"]}
        assert names == {"web-1", "db-1"}
        only = {"by": "workload", "since_ms": 0, "filter": 'hostname ~ "db"'}
        assert [r["hostname"] for r in client.get(URL, params=only).json()["items"]] == ["db-1"]


def test_what_is_wrong_is_said(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "viewer"))
        assert client.get(URL, params={"by": "nothing"}).status_code == 400
        assert client.get(URL, params={"filter": "nope = 1"}).status_code == 400
        assert client.get(URL, params={"sort": "nope"}).status_code == 400
        assert client.get(URL, params={"cursor": "x"}).status_code == 400
    with stack.client() as client:
        assert client.get(URL).status_code == 401
