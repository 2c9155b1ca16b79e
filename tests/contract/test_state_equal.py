"""The same seed on both backends gives equal rows in the same order, whatever is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apikit
import msgspec
import pytest
from filterkit import FIELDS, KINDS, ROWS, TABLE, TEXTS, filters
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select, update

from hauberk.schema.link import SensorHealth
from hauberk.store import dialect, fleet, inventory, query
from hauberk.store.database import read, sqlite_url, write
from hauberk.store.inventory import AssetScope, ChangeScope
from hauberk.store.overview import overview
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent, asset

PACKAGE = "software.os_package"
# Orders that differ between bytes, languages and UTF-16.
WORDS = [*TEXTS, "a", "B", "_", "é", "e", "E", "Z", "ﬁ", "\ue000", "😀", "a-b", "ab", "a b"]
# Of another type than the column says: an agent may send anything.
ODD = ['{"name":7}', '{"name":null,"version":["x"]}', '{"name":true}', '{"name":{"a":1}}', "{}"]
Pair = tuple[apikit.Stack, apikit.Stack]


def _seed(stack: apikit.Stack) -> None:
    rng = random.Random(7)
    homes = [
        stack.workload("default", f"w{n}", hostname=rng.choice(WORDS) + str(n)) for n in range(6)
    ]
    for row in ROWS:
        stack.asset("default", homes[0], TABLE, str(row["ppid"]), **row)
    for n in range(120):
        home, name = rng.choice(homes), rng.choice(WORDS)
        stack.asset(
            "default",
            home,
            PACKAGE,
            f"{name}\x1f{n}",
            name=name,
            version=rng.choice(WORDS),
            manager="dpkg",
            held=n % 3 == 0,
            size=rng.choice([None, 0, 2**40, n]),
        )
    for n, fields in enumerate(ODD):
        made = stack.asset("default", homes[1], PACKAGE, f"odd{n}", name="odd")
        with write(stack.engine) as db:
            db.execute(update(asset).where(asset.c.id == made).values(fields=fields))
    for n, home in enumerate(homes):
        stack.collected("default", home, PACKAGE, "ok" if n % 2 else "error")
        with write(stack.engine) as db:
            sensor = msgspec.json.encode(SensorHealth(tier="ABC"[n % 3], lost=n % 2)).decode()
            values = {"sensor": sensor, "skew_ns": (n - 3) * 1_500_000, "state": "active"}
            if n == 5:
                values |= {"last_beat_ns": None, "sensor": "null"}
            db.execute(update(agent).where(agent.c.workload == home).values(**values))


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, postgres_state: Callable[[], str]
) -> Iterator[Pair]:
    made = []
    for name in ("sqlite", "postgresql"):
        folder = Path(tmp_path_factory.mktemp(name))
        url = sqlite_url(folder / "s.db") if name == "sqlite" else postgres_state()
        stack = apikit.make(folder, url)
        _seed(stack)
        made.append(stack)
    yield made[0], made[1]
    for stack in made:
        stack.close()


def both(pair: Pair, ask: Callable[[apikit.Stack], Any]) -> Any:
    """The one answer of both."""
    ours, theirs = (ask(stack) for stack in pair)
    assert ours == theirs
    return ours


def listed(text: str, sort: str, limit: int, stack: apikit.Stack) -> list[list[str]]:
    fields = {
        name: Field(kind, dialect.json_field(asset.c.fields, name, kind))
        for name, kind in KINDS.items()
    }
    rows = select(asset).where(asset.c.subclass == TABLE)
    listing = Listing(rows, fields, asset.c.id, "pid", ("test",))
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        with read(stack.engine) as db:
            found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
        pages.append([row["key"] for row in found.rows])
        cursor = found.next
        if cursor is None:
            return pages


def flat(pages: list[list[str]]) -> list[str]:
    return [key for page in pages for key in page]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=filters)
def test_a_filter_leaves_the_same_rows_in_the_same_order(pair: Pair, text: str) -> None:
    name = FIELDS[len(text) % len(FIELDS)]
    sort = name if KINDS[name] != "list" else "pid"
    both(pair, partial(listed, text, sort if len(text) % 2 else f"-{sort}", 1000))


@pytest.mark.parametrize("sort", [f for f in FIELDS if KINDS[f] != "list"])
def test_pages_follow_each_other_alike(pair: Pair, sort: str) -> None:
    up = both(pair, partial(listed, "", sort, 7))
    down = both(pair, partial(listed, "", f"-{sort}", 7))
    assert flat(up) == flat(down)[::-1]
    assert sorted(flat(up), key=int) == [str(n) for n in range(len(ROWS))]


@pytest.mark.parametrize("sort", ["name", "-version", "hostname", "label", "-key", "size", "-held"])
@pytest.mark.parametrize(
    "text", ["", "name ~ a", 'name < "b"', "name > Z", "version is null", 'hostname =~ "^.[0-9]"']
)
def test_assets(pair: Pair, text: str, sort: str) -> None:
    scope = AssetScope("default", PACKAGE, text, sort)
    now = apikit.NOW_NS // 10**6
    pages = both(pair, lambda s: inventory.assets(s.engine, scope, None, 50, now))
    every = both(pair, lambda s: list(inventory.all_assets(s.engine, scope)))
    assert pages.total == len(every)
    assert every[: len(pages.items)] == pages.items


@pytest.mark.parametrize("name", ["name", "version", "hostname", "size", "held", "arch"])
def test_facets(pair: Pair, name: str) -> None:
    scope = AssetScope("default", PACKAGE)
    found = both(pair, lambda s: inventory.facets(s.engine, scope, name, 1))
    assert sum(v.count for v in found.values) == 125


@pytest.mark.parametrize(
    "text",
    ["", "role = nginx", 'hostname > "a"', 'os != "debian"', "cpus is null", "last_seen_ms > 1"],
)
@pytest.mark.parametrize("sort", ["", "-hostname", "os"])
def test_workloads(pair: Pair, text: str, sort: str) -> None:
    both(
        pair,
        lambda s: fleet.workloads(
            s.engine, "default", text=text, sort=sort, cursor=None, limit=10, now_ns=s.clock.now
        ),
    )


@pytest.mark.parametrize(
    "text", ["", "tier = A", "tier is null", "state != online", "lost > 0", "skew_ms < 0"]
)
@pytest.mark.parametrize("sort", ["", "-tier", "skew_ms", "-last_beat_ms", "state"])
def test_agents(pair: Pair, text: str, sort: str) -> None:
    both(
        pair,
        lambda s: fleet.agents(
            s.engine, "default", text=text, sort=sort, cursor=None, limit=10, now_ns=s.clock.now
        ),
    )


def test_overview_details_and_changes(pair: Pair) -> None:
    both(pair, lambda s: overview(s.engine, s.context.lake, "default", s.clock.now))
    home = "default-w1"
    both(pair, lambda s: fleet.workload_detail(s.engine, "default", home, s.clock.now))
    scope = ChangeScope("default", 'label >= "a" and kind = added')
    changes = both(pair, lambda s: inventory.changes(s.engine, scope, None, 100, 1))
    assert changes.items
    both(pair, lambda s: inventory.detail(s.engine, "default", changes.items[0].asset))
