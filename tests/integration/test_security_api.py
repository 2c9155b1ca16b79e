"""Every route against pages of other sites; the headers of every answer; guessing passwords."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://hauberk.test.evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://hauberk.test"},
    {"Sec-Fetch-Site": "same-site"},
]
OWN: list[dict[str, str]] = [
    {},
    {"Origin": "https://hauberk.test"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://hauberk.test"},
    # A proxy in front of the server has another name for it.
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://outside.example"},
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apikit.Stack]:
    made = apikit.make(Path(tmp_path_factory.mktemp("security")))
    made.workload("default", "one")
    made.user("default", "boss", "admin")
    yield made
    made.close()


def routes(stack: apikit.Stack) -> list[tuple[str, str]]:
    """(method, path) of everything below /api, with ids that nothing has."""
    return sorted(
        (method, re.sub(r"\{(\w+)(:\w+)?\}", "nothing", route.path_format))
        for route in stack.app.routes
        if route.path_format.startswith("/api/")
        for method in set(getattr(route, "methods", ())) - {"OPTIONS", "HEAD"}
    )


def logged_in(client: TestClient[Litestar]) -> str:
    body = {"name": "boss", "password": apikit.PASSWORD}
    opened = client.post("/api/v1/session", json=body)
    return str(opened.json()["csrf"])


def body_of(path: str) -> dict[str, Any]:
    if path.endswith("/packages"):
        return {"content": b"x", "headers": {"Content-Type": "application/x-xz"}}
    return {"json": {}, "headers": {}}


def test_no_unsafe_route_lets_a_page_of_another_site_in(stack: apikit.Stack) -> None:
    unsafe = [r for r in routes(stack) if r[0] != "GET"]
    assert len(unsafe) > 20
    with stack.client() as client:
        csrf = logged_in(client)
        for method, path in unsafe:
            for foreign in FOREIGN:
                more = body_of(path)
                headers = more.pop("headers") | foreign | {"X-Hauberk-CSRF": csrf}
                answer = client.request(method, path, headers=headers, **more)
                assert answer.status_code == 403, (method, path, foreign, answer.text)
                assert "another site" in answer.json()["message"]
            if path == "/api/v1/session":
                continue
            more = body_of(path)
            bare = client.request(method, path, **more)
            assert bare.status_code == 403, (method, path)
            assert "csrf" in bare.json()["message"]


def test_our_own_page_passes(stack: apikit.Stack) -> None:
    with stack.client() as client:
        csrf = logged_in(client)
        for own in OWN:
            headers = own | {"X-Hauberk-CSRF": csrf}
            made = client.post("/api/v1/enrolments", json={}, headers=headers)
            assert made.status_code == 201, own
    with stack.client() as client:  # a script with a token is no browser
        headers = stack.token("default", "admin") | {"Origin": "https://evil.example"}
        assert client.post("/api/v1/enrolments", json={}, headers=headers).status_code == 201


def test_every_answer_says_what_a_browser_may_do_with_it(stack: apikit.Stack) -> None:
    paths = [p for m, p in routes(stack) if m == "GET" and not p.endswith("/stream")]
    with stack.client() as client:
        for headers in ({}, stack.token("default", "admin")):
            for path in [*paths, "/", "/healthz", "/schema/openapi.json", "/api/v1/none", "/x.js"]:
                answer = client.get(path, headers=headers)
                assert answer.status_code < 500, (path, answer.text)
                told = answer.headers
                policy = dict(
                    part.strip().split(" ", 1)
                    for part in told["content-security-policy"].split(";")
                )
                scripts = policy.get("script-src", policy["default-src"])
                assert "unsafe" not in scripts
                assert "*" not in scripts
                assert policy["object-src"] == policy["base-uri"] == "'none'"
                assert policy["frame-ancestors"] == "'none'"
                assert told["x-content-type-options"] == "nosniff"
                assert told["referrer-policy"] == "no-referrer"
                assert told["strict-transport-security"].startswith("max-age=")
                assert "server" not in told
                assert "access-control-allow-origin" not in told
                if path.startswith("/api/"):
                    assert "no-store" in told["cache-control"], path


def test_an_export_is_a_download_of_its_own_type(stack: apikit.Stack) -> None:
    with stack.client() as client:
        for form, kind in [("csv", "text/csv"), ("json", "application/json")]:
            answer = client.get(
                f"/api/v1/workloads/export?format={form}", headers=stack.token("default", "viewer")
            )
            assert answer.headers["content-type"].startswith(kind)
            assert answer.headers["content-disposition"].startswith("attachment")


def test_the_cookie_stays_with_us(stack: apikit.Stack) -> None:
    with stack.client() as client:
        body = {"name": "boss", "password": apikit.PASSWORD}
        cookie = client.post("/api/v1/session", json=body).headers["set-cookie"]
    assert cookie.startswith("__Host-hauberk=")
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)


class From:
    """The application as somebody at this address sees it."""

    def __init__(self, app: Litestar, address: str) -> None:
        self._app, self._address = app, address

    def tries(self, name: str, count: int, password: str = "wrong") -> list[int]:
        """Statuses of logins; `{}` in `name` is their number."""

        async def ask() -> list[int]:
            transport = httpx.ASGITransport(app=self._app, client=(self._address, 5))
            async with httpx.AsyncClient(
                transport=transport, base_url="https://hauberk.test"
            ) as http:
                return [
                    (
                        await http.post(
                            "/api/v1/session",
                            json={"name": name.format(i), "password": password},
                        )
                    ).status_code
                    for i in range(count)
                ]

        return asyncio.run(ask())


def test_guessing_is_slowed_per_account_and_per_address(tmp_path: Path) -> None:
    made = apikit.make(tmp_path)
    try:
        made.user("default", "anna", "viewer")
        one = From(made.app, "203.0.113.1")
        assert one.tries("anna", 8) == [401] * 5 + [429] * 3
        # The right password has to wait too, or the wait would tell it; from anywhere.
        assert one.tries("anna", 1, apikit.PASSWORD) == [429]
        assert From(made.app, "198.51.100.9").tries("anna", 1, apikit.PASSWORD) == [429]
        two = From(made.app, "203.0.113.2").tries("n{}", 30)
        assert two == [401] * 20 + [429] * 10
        # Somebody else is not hindered; of IPv6 a whole /64 is one.
        assert From(made.app, "203.0.113.3").tries("admin", 1) == [401]
        assert From(made.app, "2001:db8::1").tries("v{}", 20) == [401] * 20
        assert From(made.app, "2001:db8::2").tries("w", 1) == [429]
        assert From(made.app, "2001:db8:0:1::2").tries("w", 1) == [401]
    finally:
        made.close()
