"""One filter, two engines: DuckDB in the server and Daft on a local multi-process Ray."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import s3kit
from filterkit import FIELDS, ROWS, TABLE, filters
from hypothesis import HealthCheck, Phase, given, settings
from storekit import DAY_NS, NOW_NS, rows

from hauberk.errors import BadFilter
from hauberk.store import lake_filter, typed
from hauberk.store.compact import compact
from hauberk.store.lake import Lake
from hauberk.store.lake_daft import DaftHunt
from hauberk.store.lake_files import FolderFiles, S3Files
from hauberk.store.lake_query import LakeQuery, Search

# Ray and Daft warn of each other's private names.
pytestmark = pytest.mark.filterwarnings("ignore")
HOSTS = {"w0": "web-1", "w1": "Web-2", "w2": "db"}
MORE = [
    'argv =~ "^curl http"',
    'argv ~ "CURL HTTP"',
    'name =~ "a.b"',
    'name =~ "(?i)KELVIN"',
    'name =~ "\\\\bnginx\\\\b"',
    'name =~ "^\\\\w+$"',
    'name =~ "\\\\Qx/y?\\\\E"',
    'name ~ "%_[]^$.*"',
    'name ~ "kelvin"',
    "hostname = web-1",
    "hostname ~ WEB",
    'hostname =~ "^d"',
    "hostname is null",
    "hostname != db and not is_self = true",
    "time_ms < 0",
    f"time_ms >= {NOW_NS // 10**6}",
    f"received_ms = {NOW_NS // 10**6}",
    "agent = a and boot in (b, c)",
    f"pid in ({2**62}, {-(2**62)}, {2**53 + 1})",
]


def filled(lake: Lake) -> Lake:
    for n, part in enumerate(ROWS[at : at + 9] for at in range(0, len(ROWS), 9)):
        events = rows(len(part), first=n * 9, received_ns=NOW_NS - n % 3 * DAY_NS + n // 4)
        for name in FIELDS:
            kind = events.schema.field(name).type
            column = pa.array([row[name] for row in part], kind)
            events = events.set_column(events.schema.get_field_index(name), name, column)
        times = pa.array([(-1) ** n * (NOW_NS + i) for i in range(len(part))], pa.int64())
        events = events.set_column(events.schema.get_field_index("time_ns"), "time_ns", times)
        home = pa.repeat(pa.scalar(f"w{n % 4}"), len(part))
        events = events.set_column(events.schema.get_field_index("workload"), "workload", home)
        if n == 0:
            events = events.drop_columns(["exit_code"])  # of an older agent
        if n == 1:
            events = events.append_column("novel", pa.array(["x"] * len(part)))  # of a newer one
        lake.append("t", TABLE, events, position=n + 1)
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return filled(Lake(FolderFiles(tmp_path_factory.mktemp("hunt")), app_id="inbox:1"))


@pytest.fixture(scope="module")
def duck(lake: Lake) -> Iterator[LakeQuery]:
    made = LakeQuery(lake, memory_mb=64)
    yield made
    made.close()


@pytest.fixture(scope="module")
def hunt(lake: Lake) -> Iterator[DaftHunt]:
    made = DaftHunt(lake, processes=2)
    yield made
    made.close()


def generated(count: int) -> list[str]:
    found: list[str] = []

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(text=filters)
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return found


def test_generated_filters_find_the_same_rows(duck: LakeQuery, hunt: DaftHunt) -> None:
    texts = list(dict.fromkeys([*MORE, *generated(300)]))
    assert len(texts) > 200
    every = Search("t", TABLE, include_self=True)
    files = duck._files(every)
    for at in range(0, len(texts), 40):
        some = texts[at : at + 40]
        columns = [
            hunt._compile(bound(text), TABLE, HOSTS).alias(f"f{n}") for n, text in enumerate(some)
        ]
        frame = hunt._frame(every, files).select("sequence", "ordinal", *columns)
        with hunt._running():
            table = frame.to_pydict()
        keys = list(zip(table["sequence"], table["ordinal"], strict=True))
        assert len(keys) == len(ROWS)
        for n, text in enumerate(some):
            assert None not in table[f"f{n}"], text
            by_daft = {key for key, holds in zip(keys, table[f"f{n}"], strict=True) if holds}
            assert by_daft == by_duck(duck, text), text


def bound(text: str) -> Any:
    return typed.read(text, lake_filter.kinds(TABLE))


def by_duck(duck: LakeQuery, text: str) -> set[tuple[int, int]]:
    sql, values = lake_filter.compile_filter(bound(text), TABLE, HOSTS)
    every = Search("t", TABLE, include_self=True)
    tail = f" WHERE {sql}"
    return set(duck._select(every, duck._files(every), "sequence, ordinal", tail, values))


@pytest.mark.parametrize(
    "search",
    [
        Search("t", TABLE, include_self=True),
        Search("t", TABLE, 'name ~ gin or argv =~ "^curl"'),
        Search("t", TABLE, "hostname ~ web", workload="w1", include_self=True),
        Search("t", TABLE, since_ms=(NOW_NS - DAY_NS) // 10**6, until_ms=NOW_NS // 10**6),
        Search("nobody", TABLE),
        Search("t", "network_activity"),
    ],
)
def test_rows_come_in_the_same_order(duck: LakeQuery, hunt: DaftHunt, search: Search) -> None:
    expected = list(duck.rows(search, HOSTS))
    assert list(hunt.rows(search, HOSTS)) == expected
    assert bool(expected) is (search.tenant == "t" and search.table == TABLE)


@pytest.mark.parametrize("by", ["name", "exit_code", "is_self", "workload", "time_ms"])
def test_counts_by_value_agree(duck: LakeQuery, hunt: DaftHunt, by: str) -> None:
    search = Search("t", TABLE, 'name =~ "n|^$" or pid > 3', include_self=True)
    expected = duck.counts_by(search, HOSTS, by, 7)
    assert expected
    assert hunt.counts_by(search, HOSTS, by, 7) == expected


def test_what_cannot_be_counted_or_matched_is_told(duck: LakeQuery, hunt: DaftHunt) -> None:
    for engine in (duck, hunt):
        for by in ("argv", "hostname", "nothing"):
            with pytest.raises(BadFilter, match=by):
                engine.counts_by(Search("t", TABLE), {}, by, 5)
        with pytest.raises(BadFilter, match="RE2"):
            list(engine.rows(Search("t", TABLE, 'name =~ "(?=x)"'), {}))


def test_exports_go_to_the_engine_that_was_set(lake: Lake, hunt: DaftHunt) -> None:
    class Told:
        def rows(self, search: Search, hostnames: Any) -> Iterator[Any]:
            yield from hunt.rows(search, hostnames)
            yield "told"

        def close(self) -> None:
            """It is shared."""

    query = LakeQuery(lake, memory_mb=64, hunt=Told())  # type: ignore[arg-type]
    *found, last = query.rows(Search("t", TABLE, include_self=True), HOSTS)
    assert last == "told"
    page = query.page(Search("t", TABLE, include_self=True), HOSTS, None, 1000, 0)
    assert found == page.items
    query.close()


def test_the_same_rows_out_of_a_store_before_and_after_compaction(
    duck: LakeQuery, hunt: DaftHunt, tmp_path: Path
) -> None:
    target = s3kit.shared().target(tmp_path.name)
    files = S3Files(target, tmp_path / "cache", max_bytes=2**26)
    remote = filled(Lake(files, app_id="inbox:1"))
    search = Search("t", TABLE, 'name =~ "n|^$" or pid > 3', include_self=True)
    expected = list(duck.rows(search, HOSTS))
    local, hunt._lake = hunt._lake, remote
    try:
        assert list(hunt.rows(search, HOSTS)) == expected
        compact(remote, "t", TABLE, today="2099-01-01")
        assert list(hunt.rows(search, HOSTS)) == expected
    finally:
        hunt._lake = local
        files.close()


def test_nothing_is_reported_and_every_socket_is_on_loopback(hunt: DaftHunt) -> None:
    opted_out = importlib.import_module("daft.scarf_telemetry").opted_out
    usage = importlib.import_module("ray._common.usage.usage_lib")
    list(hunt.rows(Search("t", TABLE), HOSTS))
    assert opted_out()
    assert not usage.usage_stats_enabled()
    children = _below(os.getpid())
    assert len(children) >= 4
    assert {address for pid in children for address in _listening(pid)} <= {"0100007F", _MAPPED}


_MAPPED = "0000000000000000FFFF00000100007F"


def _below(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_below(int(child))]
    return found


def _listening(pid: int) -> list[str]:
    """Addresses (hexadecimal, as the kernel shows them) that a process listens on."""
    try:
        links = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended meanwhile
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                found.append(fields[1].rpartition(":")[0])
    return found
