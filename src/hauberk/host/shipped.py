"""Content files that are shipped inside the package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

from hauberk.errors import NotFound


def shipped(folder: str) -> Iterator[tuple[str, bytes]]:
    """YAML files below `hauberk/content/<folder>/`, subfolders included, name-sorted.

    Args:
        folder: relative, such as "roles".

    Returns:
        (path relative to `folder`, contents) pairs.

    Raises:
        NotFound: this installation has no such folder.
    """
    top = resources.files("hauberk").joinpath("content", folder)
    if not folder or ".." in folder.split("/") or not top.is_dir():
        raise NotFound(f"content/{folder}: not in this installation; install hauberk again")
    yield from _below(top, "")


def _below(top: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(top.iterdir(), key=lambda e: e.name):
        name = prefix + entry.name
        if entry.is_dir():
            yield from _below(entry, f"{name}/")
        elif entry.name.endswith((".yaml", ".yml")):
            yield name, entry.read_bytes()
