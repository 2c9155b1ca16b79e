"""Draws docs/architecture.md's diagram from the import contracts; `make docs` rewrites it."""

from __future__ import annotations

import configparser
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- drawn: begin -->", "<!-- drawn: end -->"


def layers() -> list[list[str]]:
    """The layers of .importlinter, top first."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    text = config["importlinter:contract:layers"]["layers"]
    return [[n.strip() for n in line.split("|")] for line in text.strip().splitlines()]


def purpose(name: str) -> str:
    """First line of a module's docstring."""
    doc = importlib.import_module(f"hauberk.{name}").__doc__ or ""
    return doc.strip().splitlines()[0] if doc.strip() else ""


def forbidden(contract: str) -> tuple[list[str], list[str]]:
    """(who, what) of a forbidden contract."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    section = config[f"importlinter:contract:{contract}"]
    who = [s.removeprefix("hauberk.") for s in section["source_modules"].split()]
    return who, section["forbidden_modules"].split()


def drawing() -> str:
    """The generated part of the page."""
    rule = "may import everything below it; names side by side may not import each other"
    lines = ["```", rule, ""]
    for row in layers():
        lines.append("  " + "  |  ".join(row))
        lines.append("    v")
    lines[-1] = "```"
    lines += ["", "| package | what it is |", "|---|---|"]
    lines += [f"| `{n}` | {purpose(n)} |" for row in layers() for n in row]
    for contract, words in (
        ("pure", "Never import, so that they give the same results everywhere"),
        ("agent", "Never reaches, even indirectly"),
    ):
        who, what = forbidden(contract)
        names = ", ".join(f"`{w}`" for w in what)
        lines += ["", f"**{', '.join(f'`{w}`' for w in who)}** - {words}: {names}."]
    return "\n".join(lines)


def page(text: str) -> str:
    """`text` with its generated part replaced."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{drawing()}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Rewrite the page; with --check only say whether it is current."""
    text = PAGE.read_text()
    new = page(text)
    if "--check" in sys.argv:
        return 0 if new == text else 1
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
