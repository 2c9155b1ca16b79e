from __future__ import annotations


def test_tables_and_their_columns(stack):
    home = stack.workload("default", "one")
    stack.events("default", home, "network_activity", [{"dst_port": 22}])
    with stack.client() as client:
        client.headers.update(stack.token("default", "viewer"))
        assert client.get("/api/v1/events").json()["items"] == []
        found = client.get("/api/v1/events?table=network_activity").json()["items"]
        assert (found[0]["fields"]["dst_port"], found[0]["hostname"]) == (22, "web-1")
        header = client.get("/api/v1/events/export?table=network_activity").text.splitlines()[0]
        assert header.startswith("Time,Host,Activity,")
        assert "Destination port" in header.split(",")
        assert client.get("/api/v1/events?table=../x").status_code == 400
