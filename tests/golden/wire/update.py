"""Write the expected bytes of every case: python tests/golden/wire/update.py

A changed .bin means that older agents and servers no longer understand each other: bump
wire.VERSION and keep the old decoder before you commit one.
"""

import importlib
import json
from pathlib import Path

import msgspec

from hauberk.link import wire

HERE = Path(__file__).parent


def encode(case: Path) -> bytes:
    """Bytes of one case: tables with name, struct (module:Class), meta and rows."""
    tables = []
    for table in json.loads(case.read_text("utf-8"))["tables"]:
        module, _, name = table["struct"].partition(":")
        struct = getattr(importlib.import_module(module), name)
        rows = msgspec.convert(table["rows"], list[struct])
        tables.append(wire.encode_table(table["name"], struct, rows, table["meta"]))
    return wire.encode_batch(tables)


def output(case: Path) -> Path:
    """Where the expected bytes are, as hex lines."""
    return case.with_name(case.name.replace(".in.json", ".bin"))


def as_hex(data: bytes) -> str:
    """64 digits a line, so that a diff shows where."""
    text = data.hex()
    return "".join(text[i : i + 64] + "\n" for i in range(0, len(text), 64))


if __name__ == "__main__":
    for path in sorted(HERE.glob("*.in.json")):
        output(path).write_text(as_hex(encode(path)))
        print("wrote", output(path).name)
