"""Exports: the list's rows and the screen's words, cell by cell; broken ones are seen as broken."""

from __future__ import annotations

import asyncio
import csv
import io
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import apikit
import httpx
import pytest
import uvicorn
from litestar.testing import TestClient
from sqlalchemy import insert, update

from hauberk.api import limits
from hauberk.schema.text import from_bytes
from hauberk.store.database import write
from hauberk.store.tables import asset

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
USERS = "/api/v1/assets/access.user"
AT = "2026-09-21 14:13:20.000+00:00"
HERE = "2026-09-21 22:13:20.000+08:00"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[apikit.Stack]:
    made = apikit.make(tmp_path)
    yield made
    made.close()


@pytest.fixture
def home(stack: apikit.Stack) -> str:
    return stack.workload("default", "one")


@pytest.fixture
def client(stack: apikit.Stack) -> Iterator[TestClient[Any]]:
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        yield client


def sheets(raw: bytes) -> dict[str, list[list[str | float]]]:
    """Rows per sheet, read with nothing but the standard library."""
    book = zipfile.ZipFile(io.BytesIO(raw))
    names = [
        s.attrib["name"] for s in ET.fromstring(book.read("xl/workbook.xml")).iter(f"{SHEET}sheet")
    ]
    found = {}
    for number, name in enumerate(names, 1):
        tree = ET.fromstring(book.read(f"xl/worksheets/sheet{number}.xml"))
        assert not list(tree.iter(f"{SHEET}f")), "a formula"
        rows = []
        for row in tree.iter(f"{SHEET}row"):
            cells: list[str | float] = []
            for cell in row.iter(f"{SHEET}c"):
                place = 0
                for letter in cell.attrib["r"].rstrip("0123456789"):
                    place = place * 26 + ord(letter) - 64
                cells += [""] * (place - 1 - len(cells))
                if cell.attrib.get("t") == "inlineStr":
                    cells.append("".join(t.text or "" for t in cell.iter(f"{SHEET}t")))
                else:
                    value = cell.find(f"{SHEET}v")
                    assert value is not None
                    cells.append(float(value.text or ""))
            rows.append(cells)
        found[name] = rows
    return found


def table(client: TestClient[Any], url: str, lang: str, more: str = "") -> list[list[str]]:
    """The CSV, after the workbook has proved to hold the same."""
    query = f"lang={lang}&zone=Asia/Shanghai{more}"
    text = client.get(f"{url}?format=csv&{query}")
    assert text.headers["content-type"].startswith("text/csv")
    assert text.content.startswith("\ufeff".encode()) is (lang == "zh-CN")
    rows = list(csv.reader(io.StringIO(text.content.decode("utf-8-sig"))))
    answer = client.get(f"{url}?format=xlsx&{query}")
    assert answer.status_code == 200, answer.text
    book = sheets(answer.content)
    assert list(book)[-1] == {"en": "About", "zh-CN": "说明"}[lang]
    written = next(iter(book.values()))
    assert len(written) == len(rows)
    for mine, other in zip(rows, written, strict=True):
        padded = other + [""] * (len(mine) - len(other))
        for one, two in zip(mine, padded, strict=True):
            assert float(one) == two if isinstance(two, float) else one.removeprefix("'") == two
    return rows


def seed(stack: apikit.Stack, home: str) -> None:
    for n in range(25):
        stack.asset(
            "default", home, "access.user", f"k{n}", name=f"u{n:02}", uid=n % 6, groups=["a", "b"]
        )
    for n in range(12):
        rows = [{"pid": n, "argv": ["ls", "a b"], "activity_id": 1, "time_ns": apikit.NOW_NS}]
        stack.events("default", home, "process_activity", rows)


@pytest.mark.parametrize(
    "query", ["", "filter=name~u1", "sort=-name", "filter=uid>2&gone=true", "filter=name=none"]
)
def test_assets_are_the_list_cell_by_cell(
    stack: apikit.Stack, home: str, client: TestClient[Any], query: str
) -> None:
    seed(stack, home)
    listed = client.get(f"{USERS}?limit=500&{query}").json()["items"]
    assert client.get(f"{USERS}/export?format=json&{query}").json() == listed
    names = "&columns=uid,name,hostname,groups,changed_ms,full_name,shell,id"
    for lang, heads, unknown in [
        ("en", ["UID", "User", "Host", "Groups", "Changed"], "not known"),
        ("zh-CN", ["UID", "用户", "主机", "所属组", "最近变更"], "未知"),
    ]:
        head, *rows = table(client, f"{USERS}/export", lang, f"{names}&{query}")
        assert head[:5] == heads
        assert rows == [
            [
                str(r["fields"]["uid"]), r["fields"]["name"], "web-1", "a, b", HERE,
                unknown, unknown, r["id"],
            ]
            for r in listed
        ]  # fmt: skip


def test_events_are_the_list_cell_by_cell(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    seed(stack, home)
    listed = client.get("/api/v1/events?limit=500&filter=pid>3").json()["items"]
    assert len(listed) == 8
    assert client.get("/api/v1/events/export?format=json&filter=pid>3").json() == listed
    names = "&columns=time_ms,activity_id,pid,argv,is_self,exit_code&filter=pid>3"
    for lang, activity, no, unknown in [
        ("en", "start", "no", "not known"),
        ("zh-CN", "启动", "否", "未知"),
    ]:
        _, *rows = table(client, "/api/v1/events/export", lang, names)
        assert rows == [
            [HERE, activity, str(r["fields"]["pid"]), "ls 'a b'", no, unknown] for r in listed
        ]


def test_every_other_list_has_its_rows_and_words(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    seed(stack, home)
    stack.workload("default", "two", hostname="=web-2")
    run = client.post("/api/v1/runs", json={"kind": "collect"}).json()["id"]
    for url, first, heads in [
        ("/api/v1/workloads", ["web-1", "在线", "B 级 · eBPF", "debian"], ["主机", "探针"]),
        ("/api/v1/agents", ["在线", "web-1"], ["状态", "主机"]),
        (f"/api/v1/runs/{run}/tasks", ["web-1", "采集", "待领取"], ["主机", "类型", "状态"]),
        ("/api/v1/changes", [HERE, "新增", "用户"], ["时间", "类型", "子类", "资产", "变更内容"]),
        ("/api/v1/audit", [], ["#", "时间", "操作者", "动作"]),
    ]:
        sort = "sort=-hostname" if "changes" not in url and "audit" not in url else ""
        listed = client.get(f"{url}?limit=500&{sort}").json()["items"]
        assert client.get(f"{url}/export?format=json&{sort}").json() == listed, url
        head, *rows = table(client, f"{url}/export", "zh-CN", f"&{sort}")
        assert len(rows) == len(listed)
        assert head[: len(heads)] == heads
        assert rows[0][: len(first)] == first
    assert table(client, "/api/v1/workloads/export", "en")[1][0] == "'=web-2"


def test_a_workbook_tells_what_it_is(
    stack: apikit.Stack, home: str, client: TestClient[Any]
) -> None:
    seed(stack, home)
    where = quote('name ~ "u1"')
    answer = client.get(f"{USERS}/export?format=xlsx&filter={where}&sort=-uid")
    assert answer.headers["content-disposition"] == 'attachment; filename="access-user.xlsx"'
    about = {row[0]: row[1] for row in sheets(answer.content)["About"]}
    assert about["List"] == "Users"
    assert about["Filter"] == 'name ~ "u1"'
    assert about["Sort"] == "-uid"
    assert about["Made at"] == AT
    assert about["By"] == "test-admin"
    assert about["Tenant"] == "default"
    assert about["Rows"] == 10
    assert "https://hauberk.test" in str(about["Server"])
    parts = zipfile.ZipFile(io.BytesIO(answer.content)).read("xl/worksheets/sheet1.xml").decode()
    assert 'state="frozen"' in parts
    assert "<autoFilter" in parts


HOSTILE = [
    '=cmd|" /C calc"!A0',
    "+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "http://x/",
    "\x00\x0b<&>",
    "a\r\n=1",
]


@pytest.mark.parametrize("text", [*HOSTILE, from_bytes(b"\xff="), "\ufffe", "x" * 40_000])
def test_hostile_text_is_text_in_a_workbook(
    stack: apikit.Stack, client: TestClient[Any], text: str
) -> None:
    home = stack.workload("default", "evil", hostname=text)
    stack.asset("default", home, "access.user", "k", name=text, uid=1)
    raw = client.get(f"{USERS}/export?format=xlsx&columns=name,hostname").content
    rows = sheets(raw)["Users"]
    assert len(rows) == 2
    assert rows[1][0] == rows[1][1]
    shown = str(rows[1][0])
    assert shown.isprintable()
    assert len(shown) <= 32_767
    book = zipfile.ZipFile(io.BytesIO(raw))
    assert not [name for name in book.namelist() if "rels" in name and "sheet" in name]


def test_mistakes_are_told_before_the_first_byte(client: TestClient[Any]) -> None:
    for query, field in [
        ("columns=nope", "columns"),
        ("columns=name,,uid", "columns"),
        ("zone=Nowhere/Land", "zone"),
        ("zone=../../etc/passwd", "zone"),
        ("lang=fr", "lang"),
        ("format=pdf", "format"),
    ]:
        answer = client.get(f"{USERS}/export?{query}")
        assert (answer.status_code, answer.json()["field"]) == (400, field), answer.text
    wrong = client.get(f"{USERS}/export?filter=nope=1&format=xlsx")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_filter")
    assert client.get("/api/v1/assets/no.such/export").status_code == 404
    assert client.get("/api/v1/runs/nope/tasks/export").status_code == 404


def test_an_empty_export_is_whole(client: TestClient[Any]) -> None:
    assert client.get(f"{USERS}/export?format=json").json() == []
    assert len(client.get(f"{USERS}/export").text.splitlines()) == 1
    assert len(sheets(client.get(f"{USERS}/export?format=xlsx").content)["Users"]) == 1


def test_one_user_cannot_take_all_exports(stack: apikit.Stack, client: TestClient[Any]) -> None:
    taken = [stack.context.exports.take("default/token:test-admin") for _ in range(2)]
    answer = client.get(f"{USERS}/export")
    assert (answer.status_code, answer.json()["code"]) == (429, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    other = client.get(f"{USERS}/export", headers=stack.token("default", "viewer"))
    assert other.status_code == 200
    for slot in taken:
        slot.free()
    assert client.get(f"{USERS}/export").status_code == 200
    busy = [stack.context.searches.take("default/token:test-admin") for _ in range(4)]
    for url in ("/api/v1/events", f"{USERS}/facets?field=name"):
        answer = client.get(url)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
    for slot in busy:
        slot.free()
    assert client.get("/api/v1/events").status_code == 200
    assert len(stack.context.exports) == len(stack.context.searches) == 0


@pytest.fixture
def served(stack: apikit.Stack) -> Iterator[httpx.Client]:
    """The API behind the real web server."""
    config = uvicorn.Config(stack.app, port=0, log_level="critical", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        threading.Event().wait(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        client.headers.update(stack.token("default", "admin"))
        yield client
    server.should_exit = True
    thread.join(20)


def many(stack: apikit.Stack, home: str, count: int) -> None:
    row = {
        "tenant": "default", "workload": home, "subclass": "access.user",
        "first_seen_ns": 1, "changed_ns": 1, "last_seen_ns": 1,
    }  # fmt: skip
    text = '{"name":"' + "x" * 300 + '"}'
    with write(stack.engine) as db:
        rows = [row | {"key": f"k{n:06}", "id": f"{n:06}", "label": f"{n:06}", "fields": text}
                for n in range(count)]  # fmt: skip
        db.execute(insert(asset), rows)


@pytest.mark.parametrize("format_", ["csv", "json", "xlsx"])
def test_what_breaks_in_the_middle_is_no_whole_file(
    stack: apikit.Stack, home: str, served: httpx.Client, format_: str
) -> None:
    many(stack, home, 3000)
    whole = served.get(f"{USERS}/export?format={format_}")
    assert whole.status_code == 200
    with write(stack.engine) as db:
        db.execute(update(asset).where(asset.c.id == "002500").values(fields='{"name": tor'))
    if format_ == "xlsx":
        # A workbook is made first: its failure is an answer of its own.
        assert served.get(f"{USERS}/export?format=xlsx").status_code == 500
    else:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            served.get(f"{USERS}/export?format={format_}")
    assert len(stack.context.exports) == 0


def test_who_leaves_gives_the_place_back(
    stack: apikit.Stack, home: str, served: httpx.Client
) -> None:
    many(stack, home, 20_000)
    for _ in range(5):
        with served.stream("GET", f"{USERS}/export?format=json") as answer:
            assert answer.status_code == 200
            next(answer.iter_bytes())
        for _ in range(200):
            if len(stack.context.exports) == 0:
                break
            threading.Event().wait(0.02)
        assert len(stack.context.exports) == 0


@pytest.mark.root
@pytest.mark.parametrize("size", ["64k", "900k"])
def test_a_full_disk_is_told_before_the_first_byte(
    stack: apikit.Stack, home: str, client: TestClient[Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, size: str,
) -> None:  # fmt: skip
    many(stack, home, 3000)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small], check=True)
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        answer = client.get(f"{USERS}/export?format=xlsx")
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert str(small) in answer.json()["message"]
        assert list(small.iterdir()) == []
        assert client.get(f"{USERS}/export?format=csv").status_code == 200
    finally:
        subprocess.run(["umount", small], check=True)
    assert len(stack.context.exports) == 0
    assert limits.exports().take("a") is not None
