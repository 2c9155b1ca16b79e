"""Write what the console's code is generated from: the OpenAPI document and the event columns.

Run `python console/contract.py`, then `npm run client` in console/. A test compares both with
what the server says.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from hauberk.api import openapi
from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES

HERE = Path(__file__).resolve().parent


def contract() -> dict[Path, str]:
    """File -> text."""
    events = {name: columns_of(struct) for name, struct in EVENT_CLASSES.items()}
    return {
        HERE / "openapi.json": openapi.text() + "\n",
        HERE / "src/api/events.json": msgspec.json.format(msgspec.json.encode(events)).decode()
        + "\n",
    }


if __name__ == "__main__":
    for path, text in contract().items():
        path.write_text(text, encoding="utf-8")
