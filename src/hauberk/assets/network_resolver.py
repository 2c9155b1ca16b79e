"""network.resolver: name servers, hosts, name service order and proxies, from configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config

_PROXY_FILES = ("/etc/environment", "/etc/profile", "/etc/wgetrc", "/etc/default/docker")
_PROXY_GLOBS = (
    "/etc/environment.d/*.conf",
    "/etc/profile.d/*.sh",
    "/etc/apt/apt.conf.d/*",
    "/etc/systemd/system/*.service.d/*.conf",
    "/etc/sysconfig/docker*",
)
_APT = re.compile(r"Acquire::(\w+)::Proxy(?:-Auto-Detect)?\s+\"([^\"]*)\"", re.IGNORECASE)
_ENV = re.compile(
    r"\b((?:https?|ftp|all|no)_proxy)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"';]+)", re.IGNORECASE
)
MAX_HOSTS = 20_000


class ResolverEntry(Asset, frozen=True, kw_only=True):
    """One setting by `kind`. Passwords in proxy URLs are left out."""

    KEY = ("kind", "name", "value", "source")

    kind: Annotated[
        str, column("Kind", "类别", "nameserver, search, option, host, nsswitch, proxy")
    ]
    name: Annotated[str, column("Name", "名称", "host name, database or variable")] = ""
    value: Annotated[str, column("Value", "值")] = ""
    source: Annotated[str, column("File", "文件")] = ""
    line: Annotated[int, column("Line", "行号", wide=True)] = 0


def parse_resolv(content: str, source: str) -> Iterator[ResolverEntry]:
    """Rows of a resolv.conf; `;` starts a comment as well."""
    for number, line in _config.lines(content):
        word, *rest = re.split(r"[#;]", line, maxsplit=1)[0].split() or [""]
        if word == "nameserver" and rest:
            yield ResolverEntry(kind="nameserver", value=rest[0], source=source, line=number)
        elif word in ("search", "domain"):
            for value in rest:
                yield ResolverEntry(
                    kind="search", name=word, value=value, source=source, line=number
                )
        elif word in ("options", "sortlist"):
            for value in rest:
                yield ResolverEntry(
                    kind="option", name=word, value=value, source=source, line=number
                )


def parse_hosts(content: str, source: str) -> Iterator[ResolverEntry]:
    """One row a name: `name` is the host name, `value` the address."""
    for number, line in _config.lines(content):
        address, *names = line.split("#", 1)[0].split() or [""]
        for name in names:
            yield ResolverEntry(kind="host", name=name, value=address, source=source, line=number)


def parse_nsswitch(content: str, source: str) -> Iterator[ResolverEntry]:
    """One row a database, with its services in order."""
    for number, line in _config.lines(content):
        name, colon, rest = line.split("#", 1)[0].partition(":")
        if colon:
            value = " ".join(rest.split())
            yield ResolverEntry(
                kind="nsswitch", name=name.strip(), value=value, source=source, line=number
            )


def parse_proxies(content: str, source: str) -> Iterator[ResolverEntry]:
    """Proxy variables and apt settings of a file."""
    for number, line in _config.lines(content):
        for name, value in (*_APT.findall(line), *_ENV.findall(line)):
            plain = _config.without_password(value.strip("\"'"))
            yield ResolverEntry(kind="proxy", name=name, value=plain, source=source, line=number)


def _resolved(host: Host, notes: Notes) -> Iterator[ResolverEntry]:
    paths = ["/etc/systemd/resolved.conf"]
    paths += _config.glob(host, "/etc/systemd/resolved.conf.d/*.conf", notes)
    for path in paths:
        for number, line in _config.lines(_config.text(host, path, notes) or ""):
            name, equals, value = line.partition("=")
            kind = {"DNS": "nameserver", "FallbackDNS": "nameserver", "Domains": "search"}.get(
                name.strip(), "option"
            )
            if equals:
                for item in value.split():
                    yield ResolverEntry(
                        kind=kind, name=name.strip(), value=item, source=path, line=number
                    )


def _rows(host: Host, notes: Notes) -> Iterator[ResolverEntry]:
    for path, parse in (
        ("/etc/resolv.conf", parse_resolv),
        ("/etc/hosts", parse_hosts),
        ("/etc/nsswitch.conf", parse_nsswitch),
    ):
        content = _config.text(host, path, notes)
        if content is not None:
            yield from parse(content, path)
    yield from _resolved(host, notes)
    paths = [*_PROXY_FILES, *(p for g in _PROXY_GLOBS for p in _config.glob(host, g, notes))]
    for path in paths:
        if _config.is_file(host, path, notes):
            yield from parse_proxies(_config.text(host, path, notes) or "", path)


def collect(host: Host, notes: Notes) -> Iterator[ResolverEntry]:
    """Rows by file and line; the first of equal ones."""
    seen: set[str] = set()
    for row in _rows(host, notes):
        if (key := row.key()) in seen:
            continue
        if len(seen) >= MAX_HOSTS:
            notes.add(
                row.source, f"more than {MAX_HOSTS} settings; the rest is left out", hides=True
            )
            return
        seen.add(key)
        yield row


COLLECTOR = Collector("network.resolver", ResolverEntry, collect, every_s=3600)
