from __future__ import annotations

import msgspec

from hauberk.schema.view_fleet import RunView


def test_a_run_reads_back_what_it_says() -> None:
    run = RunView(
        id="r",
        kind="collect",
        state="running",
        total=2,
        states={"pending": 1, "done": 1},
        created_by="anna",
        created_ms=1,
        not_after_ms=2,
    )
    assert msgspec.json.decode(msgspec.json.encode(run), type=RunView) == run
