"""YAML of untrusted origin as plain values, with the line of each for error messages.

Safe by construction: bounded in size and depth, no aliases (so nothing can grow when it is read),
no tags (so nothing but str, int, float, bool, None, list, dict comes out), no doubled keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import yaml

from hauberk.errors import BadContent

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24

T = TypeVar("T")
_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PATH_PART = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]")
_SCALARS = ("str", "int", "float", "bool", "null")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file. `lines` maps a path such as ("tests", 0, "name") to its 1-based line."""

    source: str
    value: Any
    lines: dict[tuple[str | int, ...], int]

    def error(self, path: tuple[str | int, ...], message: str) -> BadContent:
        """An error that names the line of `path`, or of the nearest part around it."""
        at = path
        while at and at not in self.lines:
            at = at[:-1]
        return BadContent(message, source=self.source, line=self.lines.get(at, 1))

    def convert(self, kind: type[T]) -> T:
        """The value as a Struct.

        Raises:
            BadContent: a field is missing, unknown or of another type; names its line.
        """
        try:
            return msgspec.convert(self.value, kind, strict=True)
        except msgspec.ValidationError as error:
            message, _, where = str(error).rpartition(" - at `$")
            path = tuple(
                int(index) if index.isdigit() else name or index
                for name, index in _PATH_PART.findall(where.rstrip("`"))
            )
            raise self.error(path, message or str(error)) from error


def load(source: str, data: bytes, *, max_bytes: int = MAX_BYTES) -> Document:
    """Parse one YAML document.

    Args:
        source: its name in messages.
        data: the file.
        max_bytes: larger files are refused unread.

    Raises:
        BadContent: not one plain YAML document within the bounds; names the line.
    """
    if len(data) > max_bytes:
        raise BadContent(f"{len(data)} bytes, at most {max_bytes} are read", source=source)
    try:
        _check_events(source, data)
        loader = _Loader(data)
        try:
            node = loader.get_single_node()
            lines: dict[tuple[str | int, ...], int] = {}
            value = _plain(source, loader, node, (), lines) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise BadContent(
            f"not YAML: {what}",
            source=source,
            line=mark.line + 1 if mark else None,
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadContent(f"not YAML: {error}", source=source) from error
    return Document(source, value, lines)


def _check_events(source: str, data: bytes) -> None:
    depth = 0
    for event in yaml.parse(data, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadContent("anchors and aliases are not used here", source=source, line=line)
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MAX_DEPTH:
                raise BadContent(f"nested deeper than {MAX_DEPTH}", source=source, line=line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1


def _plain(
    source: str,
    loader: Any,
    node: yaml.Node,
    path: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    kind = node.tag.rpartition(":")[2]
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [
            _plain(source, loader, item, (*path, index), lines)
            for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _mapping(source, loader, node, path, lines)
    if isinstance(node, yaml.ScalarNode) and kind in _SCALARS:
        return loader.construct_object(node)
    raise BadContent(
        f"{node.tag} is not used here; quote it if text is meant", source=source, line=line
    )


def _mapping(
    source: str,
    loader: Any,
    node: yaml.MappingNode,
    path: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
            raise BadContent("a key must be plain text", source=source, line=line)
        if key in result:
            raise BadContent(f"key {key!r} stands here twice", source=source, line=line)
        result[key] = _plain(source, loader, value_node, (*path, key), lines)
        lines[(*path, key)] = line
    return result
