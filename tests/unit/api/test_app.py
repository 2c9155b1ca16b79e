from __future__ import annotations

from dataclasses import replace

import pytest
from litestar import get
from litestar.testing import TestClient

from hauberk.api import app


def test_every_route_names_a_role(monkeypatch):
    @get("/x", sync_to_thread=False)
    def bare() -> None:
        return None

    monkeypatch.setattr(app, "V1", (*app.V1, bare))
    with pytest.raises(TypeError, match="names no role"):
        app.described()


def test_every_answer_has_the_security_headers(stack):
    with stack.client() as client:
        for path in ("/", "/healthz", "/api/v1/me", "/api/v1/nope", "/nope.js"):
            headers = client.get(path).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["strict-transport-security"] == "max-age=31536000"
        assert client.get("/api/v1/me").headers.get("cache-control") == "no-store"


def test_a_certificate_of_our_own_ca_pins_no_browser(stack):
    facts = replace(stack.context.facts(), own_certificate=False)
    context = replace(stack.context, facts=lambda: facts)
    with TestClient(app.create(context)) as client:
        assert "strict-transport-security" not in client.get("/healthz").headers
    with stack.client(local=True) as client:
        assert "strict-transport-security" not in client.get("/healthz").headers


def test_bodies_that_are_not_json_are_refused(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = client.post(
                "/api/v1/enrolments", content=b"{}", headers={"Content-Type": kind}
            )
            assert answer.status_code == 415
        good = client.post(
            "/api/v1/enrolments",
            content=b"{}",
            headers={"Content-Type": "application/json; charset=utf-8"},
        )
        assert good.status_code == 201


def test_two_applications_of_one_context_live_side_by_side(stack):
    with stack.client() as client:
        assert client.get("/api/v1/me").status_code == 401
    with stack.client(local=True) as client:
        me = client.get("/api/v1/me").json()
    assert (me["via"], me["operator"], me["tenant"]) == ("local", True, "default")
