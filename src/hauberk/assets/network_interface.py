"""network.interface: interfaces, their addresses, and routes of the reader's network namespace."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, NamedTuple

from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config, _proc

_UP, _REJECT = 0x1, 0x200
_LOCAL6 = 0x80000000
_TABLE_LIMIT = 4 * 1024 * 1024
MAX_ROUTES = 20_000
_SCOPES = {"00": "global", "10": "host", "20": "link", "40": "site"}


class Interface(Asset, frozen=True, kw_only=True):
    """An interface, one of its addresses, or a route, by `kind`.

    `address`/`prefix` are the interface's own for kind address, the destination for kind route.
    """

    KEY = ("kind", "interface", "address", "prefix", "gateway", "metric")

    kind: Annotated[str, column("Kind", "类别", "interface, address, route")]
    interface: Annotated[str, column("Interface", "接口")]
    family: Annotated[str, column("Family", "地址族", "ipv4, ipv6")] = ""
    address: Annotated[str, column("Address", "地址")] = ""
    prefix: Annotated[int, column("Prefix length", "前缀长度", "-1: unknown")] = -1
    gateway: Annotated[str, column("Gateway", "网关")] = ""
    metric: Annotated[int, column("Metric", "度量值", wide=True)] = 0
    scope: Annotated[str, column("Scope", "范围", "global, link, host, site", wide=True)] = ""
    mac: Annotated[str, column("MAC address", "MAC 地址")] = ""
    mtu: Annotated[int, column("MTU", "MTU", "bytes")] = 0
    state: Annotated[str, column("State", "状态", "up, down, unknown")] = ""


class Route4(NamedTuple):
    """One line of /proc/net/route; addresses as integers."""

    interface: str
    network: int
    mask: int
    gateway: int
    metric: int


def parse_route4(content: str) -> Iterator[Route4]:
    """Usable routes of /proc/net/route."""
    for line in content.split("\n", MAX_ROUTES)[1:MAX_ROUTES]:
        parts = line.split()
        if len(parts) < 8:
            continue
        try:
            network, gateway, mask = (
                int.from_bytes(bytes.fromhex(parts[i])[:4], "little") for i in (1, 2, 7)
            )
            flags, metric = _proc.number(parts[3], 16), _proc.number(parts[6])
        except ValueError:
            continue
        if flags & _UP and not flags & _REJECT:
            yield Route4(parts[0], network, mask, gateway, metric)


def parse_fib_trie(content: str) -> list[int]:
    """The machine's own IPv4 addresses: `/32 host LOCAL` leaves."""
    found: dict[int, None] = {}
    leaf = ""
    for line in content.split("\n", 8 * MAX_ROUTES)[: 8 * MAX_ROUTES]:
        mark, _, rest = line.strip().partition(" ")
        if mark == "|--":
            leaf = rest
        elif mark == "/32" and rest == "host LOCAL":
            try:
                found[int(IPv4Address(leaf))] = None
            except ValueError:
                continue
    return list(found)


def _addresses4(locals_: list[int], routes: list[Route4]) -> Iterator[Interface]:
    connected = sorted(
        ((r.mask, r.network, r.interface) for r in routes if r.gateway == 0 and r.mask),
        reverse=True,
    )
    # The loopback network is in no printed route.
    connected.append((0xFF000000, 127 << 24, "lo"))
    for number in locals_:
        hit = next(((m, i) for m, n, i in connected if number & m == n), None)
        yield Interface(
            kind="address",
            interface=hit[1] if hit else "",
            family="ipv4",
            address=str(IPv4Address(number)),
            prefix=hit[0].bit_count() if hit else -1,
            scope="host" if number >> 24 == 127 else "global",
        )


def _address6(text: str) -> str:
    raw = bytes.fromhex(text)
    if len(raw) != 16:
        raise ValueError(text)
    return str(IPv6Address(raw))


def parse_if_inet6(content: str) -> Iterator[Interface]:
    """Address rows of /proc/net/if_inet6."""
    for line in content.split("\n", MAX_ROUTES)[:MAX_ROUTES]:
        parts = line.split()
        if len(parts) < 6:
            continue
        try:
            address, prefix = _address6(parts[0]), _proc.number(parts[2], 16)
        except ValueError:
            continue
        yield Interface(
            kind="address",
            interface=parts[5],
            family="ipv6",
            address=address,
            prefix=prefix,
            scope=_SCOPES.get(parts[3], ""),
        )


def parse_route6(content: str) -> Iterator[Interface]:
    """Usable unicast routes of /proc/net/ipv6_route, without the machine's own addresses."""
    for line in content.split("\n", MAX_ROUTES)[:MAX_ROUTES]:
        parts = line.split()
        if len(parts) < 10:
            continue
        try:
            target, gateway = _address6(parts[0]), _address6(parts[4])
            prefix, metric, flags = (_proc.number(parts[i], 16) for i in (1, 5, 8))
        except ValueError:
            continue
        if not flags & _UP or flags & (_REJECT | _LOCAL6) or target.startswith("ff"):
            continue
        yield Interface(
            kind="route",
            interface=parts[9],
            family="ipv6",
            address=target,
            prefix=prefix,
            gateway="" if gateway == "::" else gateway,
            metric=metric,
        )


def _interfaces(host: Host, notes: Notes) -> Iterator[Interface]:
    for name in _config.names(host, "/sys/class/net", notes):
        folder = f"/sys/class/net/{name}"
        if _config.link(host, folder) == "" and not host.exists(f"{folder}/mtu"):
            continue  # bonding_masters and the like are files
        mtu = (_config.text(host, f"{folder}/mtu", notes, 64) or "").strip()
        yield Interface(
            kind="interface",
            interface=name,
            mac=(_config.text(host, f"{folder}/address", notes, 256) or "").strip(),
            mtu=int(mtu) if mtu.isdecimal() and mtu.isascii() and len(mtu) < 12 else 0,
            state=(_config.text(host, f"{folder}/operstate", notes, 64) or "").strip(),
        )


def _rows(host: Host, notes: Notes) -> Iterator[Interface]:
    def table(name: str) -> str:
        return _config.text(host, f"/proc/net/{name}", notes, _TABLE_LIMIT) or ""

    yield from _interfaces(host, notes)
    routes = list(parse_route4(table("route")))
    yield from _addresses4(parse_fib_trie(table("fib_trie")), routes)
    yield from parse_if_inet6(table("if_inet6"))
    for route in routes:
        yield Interface(
            kind="route",
            interface=route.interface,
            family="ipv4",
            address=str(IPv4Address(route.network)),
            prefix=route.mask.bit_count(),
            gateway=str(IPv4Address(route.gateway)) if route.gateway else "",
            metric=route.metric,
        )
    yield from parse_route6(table("ipv6_route"))


def collect(host: Host, notes: Notes) -> Iterator[Interface]:
    """Interfaces, addresses, routes. Raises NotLive."""
    _proc.require_proc(host)
    seen: set[str] = set()
    for row in _rows(host, notes):
        if (key := row.key()) not in seen:
            seen.add(key)
            yield row


COLLECTOR = Collector("network.interface", Interface, collect, every_s=900)
