"""What the state needs to know of a subclass: its key, its volatile fields, a readable label."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from hauberk.errors import BadWire
from hauberk.ports import Collector
from hauberk.registry import discover
from hauberk.schema.asset import Asset
from hauberk.store.dialect import index_key

# The first of these that a row has and that is not empty names it for people.
_NAMES = (
    "label",
    "title",
    "name",
    "unit",
    "command",
    "path",
    "device",
    "source",
    "interface",
    "user",
    "version",
)
# A socket is named by its process, protocol and ends.
_ENDS = (("address", "port"), ("local_ip", "local_port"), ("remote_ip", "remote_port"))
_MAX = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """One subclass."""

    subclass: str
    struct: type[Asset]
    defaults: dict[str, Any]

    def key(self, row: dict[str, Any]) -> str:
        """The row's natural key, `index_key` of `Asset.key()`; an older agent's row takes defaults.

        Raises:
            BadWire: the row lacks a key field.
        """
        try:
            whole = self.defaults | row
            return index_key("\x1f".join(str(whole[name]) for name in self.struct.KEY))
        except KeyError as error:
            raise BadWire(f"asset/{self.subclass}: rows without {error.args[0]!r}") from error

    def label(self, row: dict[str, Any], key: str) -> str:
        """A readable name; of a socket, the process and both ends."""
        ends = [f"{row.get(ip, '')}:{row[port]}" for ip, port in _ENDS if row.get(port) is not None]
        if ends and "protocol" in row:
            return f"{row.get('name') or ''} {row['protocol']} {' > '.join(ends)}".strip()[:_MAX]
        for name in _NAMES:
            value = row.get(name)
            if isinstance(value, str) and value:
                return value[:_MAX]
        return " ".join(part for part in key.split("\x1f") if part)[:_MAX]

    def difference(
        self, before: dict[str, Any], after: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields that changed, without volatile ones: (old values, new values)."""
        past: dict[str, Any] = {}
        now: dict[str, Any] = {}
        for name in (before | after).keys() - self.struct.VOLATILE:
            if before.get(name) != after.get(name):
                past[name], now[name] = before.get(name), after.get(name)
        return past, now


@cache
def kinds() -> dict[str, Kind]:
    """Every subclass that has a collector, found by walking `hauberk.assets`."""
    found = discover("hauberk.assets", "COLLECTOR", Collector)
    return {c.subclass: Kind(c.subclass, c.struct, _defaults(c.struct)) for c in found.values()}


def _defaults(struct: type[Asset]) -> dict[str, Any]:
    fields = msgspec.structs.fields(struct)
    return {
        f.name: f.default
        for f in fields
        if f.name in struct.KEY and f.default is not msgspec.NODEFAULT
    }


def kind_of(subclass: str) -> Kind:
    """A known subclass.

    Raises:
        BadWire: unknown here; the agent is newer than the server.
    """
    kind = kinds().get(subclass)
    if kind is None:
        raise BadWire(f"asset/{subclass}: unknown here: upgrade the server")
    return kind
