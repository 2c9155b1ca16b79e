"""Fixtures of several folders: where the state is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import pytest
import statekit

from hauberk.store.database import open_database, sqlite_url

BACKENDS = ("sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--state postgresql`: the stores of all tests keep their state there."""
    parser.addoption("--state", choices=BACKENDS, default="sqlite", help="backend of the state")


@pytest.fixture(scope="session", autouse=True)
def _state(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.config.getoption("--state") == "sqlite":
        yield
        return
    statekit.use(request.getfixturevalue("postgres_state"))
    yield
    statekit.use(None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL of this session; without one the test is skipped and says why."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_state(postgres_server: postgres.Postgres) -> Callable[[], str]:
    """Makes databases with the newest schema; gives the URL of a new one.

    Old ones that nobody uses any more make room.
    """
    template = postgres_server.database()
    open_database(postgres_server.url(template)).dispose()
    old: deque[str] = deque()

    def make() -> str:
        if len(old) > 8 and not postgres_server.drop(name := old.popleft()):
            old.append(name)
        old.append(postgres_server.database(template))
        return postgres_server.url(old[-1])

    return make


@pytest.fixture(scope="module", params=BACKENDS)
def state_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an empty state, on each backend."""
    if request.param == "sqlite":
        return sqlite_url(Path(tmp_path_factory.mktemp("state")) / "state.db")
    return request.getfixturevalue("postgres_state")()
