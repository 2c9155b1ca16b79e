"""The stream over a real server: notices, heartbeats, bounds, and its end with the credential."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import httpx
import pytest
import uvicorn

from hauberk.api import stream
from hauberk.schema.view import Change, EventRow, Notice


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[apikit.Stack]:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.1)
    made = apikit.make(tmp_path)
    yield made
    made.close()


@pytest.fixture
def url(stack: apikit.Stack) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(stack.app, log_config=None, ws="none", timeout_graceful_shutdown=2)
    started = threading.Event()

    class Told(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Told(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    assert started.wait(20)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listener.close()
    assert not thread.is_alive()


def messages(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def event(pid: int, *, own: bool = False) -> EventRow:
    fields = {"pid": pid, "is_self": own, "time_ns": apikit.NOW_NS}
    return EventRow(
        table="process_activity",
        workload="w",
        hostname="h",
        received_ms=1,
        time_ms=1,
        fields=fields,
    )


def test_notices_arrive(stack: apikit.Stack, url: str) -> None:
    feed = stack.context.feed
    headers = stack.token("default", "viewer")
    with httpx.stream(
        "GET", f"{url}/api/v1/stream?topics=events,changes", headers=headers
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        heard = messages(answer)
        assert next(heard) == ("heartbeat", apikit.NOW_NS // 10**6)
        feed.publish("other", Notice(topic="changes", at_ms=1, workload="foreign"))
        feed.publish("default", Notice(topic="agents", at_ms=1, workload="not asked for"))
        feed.publish("default", Notice(topic="events", at_ms=2, events=[event(1, own=True)]))
        feed.publish(
            "default", Notice(topic="events", at_ms=3, events=[event(2, own=True), event(3)])
        )
        change = Change(
            seq=1,
            at_ms=1,
            workload="w",
            hostname="<b>",
            subclass="access.user",
            asset="a",
            label="line\nbreak",
            kind="added",
        )
        feed.publish("default", Notice(topic="changes", at_ms=4, changes=[change]))
        notices = [body for kind, body in heard_until(heard, 2) if kind == "notice"]
    assert [n["topic"] for n in notices] == ["events", "changes"]
    assert [e["fields"]["pid"] for e in notices[0]["events"]] == [3]
    assert notices[0]["events"][0]["fields"]["time_ns"] == str(apikit.NOW_NS)
    assert notices[1]["changes"][0]["label"] == "line\nbreak"


def heard_until(heard: Iterator[tuple[str, Any]], notices: int) -> Iterator[tuple[str, Any]]:
    count = 0
    for kind, body in heard:
        yield kind, body
        count += kind == "notice"
        if count == notices:
            return


def test_heartbeats_tell_the_servers_time(stack: apikit.Stack, url: str) -> None:
    with httpx.stream(
        "GET", f"{url}/api/v1/stream", headers=stack.token("default", "viewer")
    ) as answer:
        heard = messages(answer)
        first = next(heard)
        stack.clock.forward(60)
        later = next(body for kind, body in heard if body > first[1])
    assert later == first[1] + 60_000


def test_it_ends_with_its_token(stack: apikit.Stack, url: str) -> None:
    headers = stack.token("default", "viewer")
    with httpx.stream("GET", f"{url}/api/v1/stream", headers=headers, timeout=20) as answer:
        heard = messages(answer)
        next(heard)
        token = stack.context.access.tokens("default")[0]
        stack.context.access.delete_token("default", token.id)
        assert {kind for kind, _ in heard} <= {"heartbeat"}
    assert stack.app.state.streams.count("default") == 0


def test_streams_are_bounded_and_given_back(stack: apikit.Stack, url: str) -> None:
    stack.app.state.streams = stream.Streams(limit=1)
    headers = stack.token("default", "viewer")
    with httpx.stream("GET", f"{url}/api/v1/stream", headers=headers) as answer:
        heard = messages(answer)  # Held: a collected generator closes its answer.
        next(heard)
        second = httpx.get(f"{url}/api/v1/stream", headers=headers)
        assert (second.status_code, second.json()["code"]) == (429, "busy")
        other = stack.token("other", "viewer")
        with httpx.stream("GET", f"{url}/api/v1/stream", headers=other) as third:
            assert third.status_code == 200
            next(messages(third))
    for _ in range(200):
        if not stack.app.state.streams.count("default"):
            break
        stack.context.feed.publish("default", Notice(topic="agents", at_ms=1))
        httpx.get(f"{url}/healthz")
    with httpx.stream("GET", f"{url}/api/v1/stream", headers=headers) as again:
        assert again.status_code == 200


def test_unknown_topics_are_refused(stack: apikit.Stack, url: str) -> None:
    answer = httpx.get(
        f"{url}/api/v1/stream?topics=events,nope", headers=stack.token("default", "viewer")
    )
    assert answer.status_code == 400
    assert "known: " in answer.json()["message"]


def test_a_server_that_stops_ends_its_streams(stack: apikit.Stack, url: str) -> None:
    headers = stack.token("default", "viewer")
    with httpx.stream("GET", f"{url}/api/v1/stream", headers=headers, timeout=20) as answer:
        heard = messages(answer)
        next(heard)
        stack.app.state.streams.close()
        assert {kind for kind, _ in heard} <= {"heartbeat"}
    assert stack.app.state.streams.count("default") == 0
