"""The application keeps to its own OpenAPI document, whatever is sent.

Few examples of each route here; HAUBERK_SCHEMA_EXAMPLES=500 looks longer.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import msgspec
import pytest
import rolloutkit
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi import checks

from hauberk.api import openapi
from hauberk.schema.view import Failure, RunInput, TokenInput
from hauberk.store import runs

SEEDED: dict[str, str] = {}
NUMBERS = itertools.count()
EXAMPLES = int(os.environ.get("HAUBERK_SCHEMA_EXAMPLES", "6"))
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="HAUBERK_SCHEMA_EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def refusals_are_failures(_ctx: Any, response: Any, _case: Any) -> None:
    """What is refused says why, in one form."""
    if 400 <= response.status_code < 600 and response.request.method != "HEAD":
        told = msgspec.json.decode(response.content, type=Failure)
        assert told.code
        assert told.message
        assert "Traceback" not in told.message


CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    refusals_are_failures,
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apikit.Stack]:
    made = apikit.make(Path(tmp_path_factory.mktemp("contract")))
    home = made.workload("default", "one")
    made.asset("default", home, "access.user", "root", name="root", uid=0)
    made.collected("default", home, "access.user")
    SEEDED.update(rolloutkit.seed(made, "default", home))
    made.events("default", home, "process_activity", [{"name": "x", "argv": ["a"]}])
    yield made
    made.close()


@pytest.fixture
def ids(stack: apikit.Stack) -> dict[str, str]:
    """Real ones of whatever a path names, so that more than "not found" is answered."""
    number = next(NUMBERS)
    home = stack.workload("default", f"w{number}")
    user = stack.user("default", f"u{number}", "viewer")
    keys, now = stack.context.agents.keys, stack.clock
    run = runs.create(stack.engine, keys, now, "default", RunInput(kind="collect"), created_by="x")
    tasks = runs.all_run_tasks(stack.engine, "default", run, text="", sort="", now_ns=now.now)
    return {
        "subclass": "access.user",
        "asset_id": stack.asset("default", home, "access.user", "root", name="root", uid=0),
        "workload_id": home,
        "agent_id": f"agent-{home}",
        "run_id": run,
        "task_id": next(tasks).id,
        "user_id": user,
        "enrolment_id": stack.context.agents.invite("default", url="https://x", created_by="x")[0],
        "token_id": stack.context.access.tokens("default")[0].id,
        "sha256": SEEDED["sha256"],
        "rollout_id": SEEDED["rollout_id"],
        "alarm_id": SEEDED["alarm_id"],
    }


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

    @BOUNDED
    @given(case=document[path][method].as_strategy())
    def check(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    check()


@pytest.mark.parametrize(("method", "path"), [o for o in OPERATIONS if "{" in o[1]])
def test_answers_of_what_is_there_fit_the_document(
    stack: apikit.Stack, document: Any, ids: dict[str, str], method: str, path: str
) -> None:
    # A token of its own: the route may revoke the one that others use.
    order = TokenInput(name=f"own {method} {path}"[:60], role="admin")
    made = stack.context.access.create_token("default", order, created_by="test")
    headers = {"Authorization": f"Bearer {made.token}"}
    with stack.client() as client:
        view = {"name": f"view {ids['run_id']}", "path": "/inventory", "shared": False}
        ids["view_id"] = client.post("/api/v1/views", json=view, headers=headers).json()["id"]
    known = {name: ids[name] for name in re.findall(r"\{(\w+)", path)}
    seen = set()

    @BOUNDED
    @given(case=document[path][method].as_strategy(path_parameters=known))
    def check(case: Any) -> None:
        answer = case.call(headers=headers)
        case.validate_response(answer, checks=CHECKS)
        seen.add(answer.status_code)

    check()
    assert seen - {404}, f"{path} with {known} is never found"


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_wrong_input_is_refused(stack: apikit.Stack, document: Any, method: str, path: str) -> None:
    operation = document[path][method]
    if not (operation.path_parameters or operation.query or operation.body):
        pytest.skip("takes nothing that could be wrong")
    headers = stack.token("default", "admin")

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def check(case: Any) -> None:
        answer = case.call(headers=headers)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code < 500

    check()


def test_the_printed_document_is_the_served_one(stack: apikit.Stack) -> None:
    with stack.client() as client:
        served = client.get("/schema/openapi.json").json()
    printed = msgspec.json.decode(openapi.text())
    assert served["paths"].keys() - {"/metrics"} == printed["paths"].keys() - {"/metrics"}
    assert served["components"]["schemas"] == printed["components"]["schemas"]
    assert served["openapi"].startswith("3.1")
