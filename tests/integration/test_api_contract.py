"""The application keeps to its own OpenAPI document, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi import checks

from hauberk.api import openapi

CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apikit.Stack]:
    made = apikit.make(Path(tmp_path_factory.mktemp("contract")))
    home = made.workload("default", "one")
    made.asset("default", home, "access.user", "root", name="root", uid=0)
    made.collected("default", home, "access.user")
    made.events("default", home, "process_activity", [{"name": "x", "argv": ["a"]}])
    yield made
    made.close()


@pytest.fixture(scope="module")
def document(stack: apikit.Stack) -> Any:
    return schemathesis.openapi.from_asgi("/schema/openapi.json", stack.app)


# The stream never ends; test_api_stream.py has it. Metrics and health are outside the contract.
OPERATIONS = [
    (method, path)
    for path, methods in msgspec.json.decode(openapi.text())["paths"].items()
    for method in methods
    if path.startswith("/api/") and path != "/api/v1/stream"
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_fit_the_document(
    stack: apikit.Stack, document: Any, method: str, path: str
) -> None:
    headers = stack.token("default", "admin")

    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=document[path][method].as_strategy())
    def check(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    check()


def test_the_printed_document_is_the_served_one(stack: apikit.Stack) -> None:
    with stack.client() as client:
        served = client.get("/schema/openapi.json").json()
    printed = msgspec.json.decode(openapi.text())
    assert served["paths"].keys() - {"/metrics"} == printed["paths"].keys() - {"/metrics"}
    assert served["components"]["schemas"] == printed["components"]["schemas"]
    assert served["openapi"].startswith("3.1")
