from __future__ import annotations

import logging
import sqlite3

import pytest
from litestar import get
from litestar.testing import create_test_client
from sqlalchemy.exc import OperationalError

from hauberk import errors
from hauberk.api.failures import HANDLERS


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.BadFilter("x"), 400, "bad_filter"),
        (errors.BadInput("x", source="name"), 400, "bad_input"),
        (errors.Unauthenticated("x"), 401, "unauthenticated"),
        (errors.Forbidden("x"), 403, "forbidden"),
        (errors.Refused("x"), 403, "refused"),
        (errors.NotFound("x"), 404, "not_found"),
        (errors.Conflict("x"), 409, "conflict"),
        (errors.Busy("x", retry_after=7), 429, "busy"),
        (errors.Unreachable("x"), 503, "unavailable"),
        (errors.StorageFull("x"), 507, "storage_full"),
        (errors.Unsupported("x"), 501, "unsupported"),
        (errors.HostError("secret"), 500, "failed"),
        (ZeroDivisionError("secret"), 500, "failed"),
        (OperationalError("secret", {}, sqlite3.OperationalError("secret")), 500, "failed"),
    ],
)
def test_statuses(error, status, code, caplog):
    @get("/", sync_to_thread=False)
    def fail() -> None:
        raise error

    caplog.set_level(logging.CRITICAL)
    with create_test_client(
        [fail], exception_handlers=HANDLERS, raise_server_exceptions=False
    ) as client:
        answer = client.get("/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message", "field"}
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    if isinstance(error, errors.Temporary):
        assert answer.headers["retry-after"] == str(round(error.retry_after))
    if isinstance(error, errors.BadInput):
        assert answer.json()["field"] == error.source


@pytest.mark.parametrize(
    "body", [b'{"name":' + b"[" * 100_000, b'{"x":' + b"[" * 100_000, b"\xff", b'{"name":"\xff"}']
)
def test_bodies_that_cannot_be_decoded_are_the_callers_fault(stack, body, caplog):
    json = {"Content-Type": "application/json"}
    with stack.client() as client:
        answer = client.post("/api/v1/session", content=body, headers=json)
    assert (answer.status_code, answer.json()["code"]) in [(400, "bad_input"), (400, "bad_request")]
    assert not caplog.records


def test_text_that_we_cannot_decode_is_our_fault(caplog):
    @get("/", sync_to_thread=False)
    def fail() -> None:
        b"\xff".decode()

    caplog.set_level(logging.CRITICAL)
    with create_test_client(
        [fail], exception_handlers=HANDLERS, raise_server_exceptions=False
    ) as client:
        assert client.get("/").status_code == 500
