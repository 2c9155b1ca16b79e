from __future__ import annotations

import pytest

from hauberk.api import console


@pytest.fixture
def built(stack):
    static = stack.context.static
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>Hauberk</title>")
    (static / "assets/app-1a2b.js").write_text("export {}")
    (static / "favicon.svg").write_text("<svg/>")
    (static.parent / "secret.txt").write_text("secret")
    (static / "link.txt").symlink_to(static.parent / "secret.txt")
    return stack


def test_without_a_build_it_says_how(stack):
    with stack.client() as client:
        answer = client.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert "make console" in answer.text
        assert client.get("/workloads").status_code == 404


def test_files_and_the_page(built):
    with built.client() as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        for path in ("/workloads/abc", "/assets/os.module", "/assets/software.os_package"):
            assert client.get(path).text == page.text, path
        script = client.get("/assets/app-1a2b.js")
        assert "javascript" in script.headers["content-type"]
        assert "immutable" in script.headers["cache-control"]
        assert client.get("/favicon.svg").headers["content-type"].startswith("image/svg+xml")
        again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_what_is_not_there_is_a_404(built):
    with built.client() as client:
        for path in ("/assets/old-ffff.js", "/nope.css", "/api/v1/nope", "/api/nope", "/v1/enrol"):
            answer = client.get(path)
            assert answer.status_code == 404, path
            assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "assets/../../secret.txt",
        "/etc/passwd",
        "link.txt",
        "a\0b",
        "assets",
        "",
        "..",
    ],
)
def test_nothing_outside_the_folder(built, path):
    assert console.find(built.context, path) is None


def test_nothing_outside_over_http(built):
    with built.client() as client:
        for path in ("/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/link.txt"):
            assert "secret" not in client.get(path).text
