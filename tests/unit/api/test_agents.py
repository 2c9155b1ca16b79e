from __future__ import annotations

from hauberk.link import token


def test_an_enrolment_carries_its_token_and_command_once(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        made = client.post("/api/v1/enrolments", json={"note": "n", "ttl_s": 60}).json()
        listed = client.get("/api/v1/enrolments").json()["items"][0]
    read = token.parse(made["token"])
    assert read.url == "https://hauberk.test:8444"
    assert read.ca_sha256 == stack.context.agents.keys.ca_sha256
    assert made["command"] == f"hauberk enroll {read.url} --token {made['token']}"
    assert (listed["token"], listed["command"], listed["id"]) == (None, None, made["id"])
    assert made["expires_ms"] - made["created_ms"] == 60_000


def test_a_revoked_agent_is_shown_as_such(stack):
    home = stack.workload("default", "one")
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        view = client.post(f"/api/v1/agents/agent-{home}/revoke").json()
        assert (view["id"], view["state"]) == (f"agent-{home}", "revoked")
        assert client.post("/api/v1/agents/nope/revoke").status_code == 404
