"""Fixtures of several folders: where the state is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import pytest

from hauberk.store.database import open_database, sqlite_url

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL of this session; without one the test is skipped and says why."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_state(postgres_server: postgres.Postgres) -> Callable[[], str]:
    """Makes databases with the newest schema; gives the URL of a new one."""
    template = postgres_server.database()
    open_database(postgres_server.url(template)).dispose()
    return lambda: postgres_server.url(postgres_server.database(template))


@pytest.fixture(scope="module", params=BACKENDS)
def state_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an empty state, on each backend."""
    if request.param == "sqlite":
        return sqlite_url(Path(tmp_path_factory.mktemp("state")) / "state.db")
    return request.getfixturevalue("postgres_state")()
