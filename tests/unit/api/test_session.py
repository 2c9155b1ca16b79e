from __future__ import annotations

import apikit

from hauberk.api.context import Identity
from hauberk.api.session import of


def test_the_cookie_is_closed_to_scripts_and_other_sites(stack):
    stack.user("default", "eve", "viewer")
    with stack.client() as client:
        answer = client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-hauberk=")
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "samesite=strict", "path=/"} <= flags
        assert not [f for f in flags if f.startswith("domain")]
        me = answer.json()
        assert (me["name"], me["via"], me["role"]) == ("eve", "session", "viewer")
        gone = client.delete("/api/v1/session", headers={"X-Hauberk-CSRF": me["csrf"]})
        assert (gone.status_code, gone.content) == (204, b"")
        assert "Max-Age=0" in gone.headers["set-cookie"]
        assert client.get("/api/v1/me").status_code == 401


def test_a_closed_session_is_gone_for_copies_too(stack):
    stack.user("default", "eve", "viewer")
    with stack.client() as client:
        me = client.post("/api/v1/session", json={"name": "eve", "password": apikit.PASSWORD})
        copy = client.cookies["__Host-hauberk"]
        client.delete("/api/v1/session", headers={"X-Hauberk-CSRF": me.json()["csrf"]})
        again = client.get("/api/v1/me", headers={"Cookie": f"__Host-hauberk={copy}"})
    assert again.status_code == 401


def test_of():
    me = of(Identity(name="x", tenant="default", role="admin", via="token"))
    assert (me.operator, me.csrf, me.expires_ms) == (True, "", None)
