"""application.web_site: server blocks of nginx and virtual hosts of Apache."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Annotated, NamedTuple

import msgspec

from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config, _config_apps, _config_web
from ._config_web import Directive

MAX_SITES = 5_000
_MAX_LIST = 64


class WebSite(Asset, frozen=True, kw_only=True):
    """One site. `name` is its first server name; `occurrence` tells equal ones apart."""

    KEY = ("server", "name", "config", "listen", "container", "occurrence")
    VOLATILE = frozenset({"line"})

    server: Annotated[str, column("Web server", "Web 服务器")]
    name: Annotated[str, column("Site", "站点", "_ : any name")]
    aliases: Annotated[list[str], column("Other names", "其他名称", wide=True)] = msgspec.field(
        default_factory=list
    )
    listen: Annotated[list[str], column("Listens", "监听")] = msgspec.field(default_factory=list)
    root: Annotated[str, column("Root", "根目录")] = ""
    tls: Annotated[bool, column("TLS", "TLS")] = False
    certificate: Annotated[str, column("Certificate", "证书", wide=True)] = ""
    tls_protocols: Annotated[list[str], column("TLS versions", "TLS 版本", wide=True)] = (
        msgspec.field(default_factory=list)
    )
    upstreams: Annotated[list[str], column("Passes to", "转发至")] = msgspec.field(
        default_factory=list
    )
    kind: Annotated[str, column("Kind", "类别", "http, stream, mail", wide=True)] = "http"
    config: Annotated[str, column("Configuration", "配置文件")] = ""
    line: Annotated[int, column("Line", "行号", wide=True)] = 0
    container: Annotated[str, column("Container", "容器", "64-hex runtime id")] = ""
    occurrence: Annotated[int, column("Occurrence", "重复序号", wide=True)] = 1


class _Tree(NamedTuple):
    """Directives by the block they stand in, what opened each block, and first arguments."""

    inside: dict[int, list[Directive]]
    openers: dict[int, Directive]
    firsts: dict[tuple[int, str], list[str]]

    def first(self, block: int, name: str) -> list[str]:
        """Arguments of the first such directive of a block."""
        return self.firsts.get((block, name), [])

    def inherited(self, block: int, name: str) -> list[str]:
        """Like `first`, looking outwards."""
        while True:
            found = self.first(block, name)
            if found or block not in self.openers:
                return found
            block = self.openers[block].block

    def below(self, block: int) -> Iterator[Directive]:
        """Everything in a block, in order; the readers bound how deep it goes."""
        for directive in self.inside.get(block, ()):
            yield directive
            if directive.opens:
                yield from self.below(directive.opens)

    def context(self, directive: Directive) -> str:
        """Name of the block around a directive, "" at the top."""
        opener = self.openers.get(directive.block)
        return opener.name if opener else ""


def _tree(directives: Iterator[Directive]) -> _Tree:
    tree = _Tree({}, {}, {})
    for directive in directives:
        tree.inside.setdefault(directive.block, []).append(directive)
        tree.firsts.setdefault((directive.block, directive.name), directive.args)
        if directive.opens:
            tree.openers[directive.opens] = directive
    return tree


def _unique(values: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(v for v in values if v))[:_MAX_LIST]


def nginx_sites(directives: Iterator[Directive]) -> Iterator[WebSite]:
    """One row a `server` block of http, stream or mail."""
    tree = _tree(directives)
    for block, opener in tree.openers.items():
        kind = tree.context(opener)
        if opener.name != "server" or kind not in ("http", "stream", "mail"):
            continue
        mine = tree.inside.get(block, [])
        names = _unique(n for d in mine if d.name == "server_name" for n in d.args)
        listens = [d.args for d in mine if d.name == "listen" and d.args]
        tls = any("ssl" in args[1:] or "quic" in args[1:] for args in listens)
        certificate = (tree.inherited(block, "ssl_certificate") or [""])[0]
        passes = (
            d.args[0]
            for d in tree.below(block)
            if d.name in ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "grpc_pass") and d.args
        )
        default = "80" if kind == "http" else ""
        yield WebSite(
            server="nginx",
            name=names[0] if names else "_",
            aliases=names[1:],
            listen=_unique(args[0] for args in listens) or ([default] if default else []),
            root=(tree.inherited(block, "root") or [""])[0],
            tls=tls or tree.first(block, "ssl") == ["on"],
            certificate=certificate if tls else "",
            tls_protocols=tree.inherited(block, "ssl_protocols") if tls else [],
            upstreams=_unique(passes),
            kind=kind,
            config=opener.file,
            line=opener.line,
        )


def apache_sites(directives: Iterator[Directive]) -> Iterator[WebSite]:
    """One row a <VirtualHost>, and one for the main server when it has a DocumentRoot."""
    tree = _tree(directives)
    ports = _unique(d.args[0] for d in tree.below(0) if d.name == "listen" and d.args)
    for block, opener in tree.openers.items():
        if opener.name == "virtualhost":
            yield _virtual_host(tree, block, opener, opener.args)
    root = tree.first(0, "documentroot")
    if root:
        opener = next(d for d in tree.inside[0] if d.name == "documentroot")
        yield _virtual_host(tree, 0, opener, ports)


def _virtual_host(tree: _Tree, block: int, opener: Directive, listen: list[str]) -> WebSite:
    def first(name: str) -> str:
        return (tree.inherited(block, name) or [""])[0]

    here = [d for d in tree.below(block) if block or d.block == 0]
    aliases = _unique(a for d in here if d.name == "serveralias" for a in d.args)
    # `ProxyPass /path url` or, inside a <Location>, `ProxyPass url`.
    passes = (
        next((a for a in d.args if "://" in a), "")
        for d in here
        if d.name in ("proxypass", "proxypassmatch")
    )
    tls = any(d.name == "sslengine" and d.args[:1] == ["on"] for d in here)
    return WebSite(
        server="Apache httpd",
        name=(tree.first(block, "servername") or ["_"])[0],
        aliases=aliases,
        listen=listen[:_MAX_LIST],
        root=first("documentroot"),
        tls=tls,
        certificate=first("sslcertificatefile") if tls else "",
        tls_protocols=tree.inherited(block, "sslprotocol") if tls else [],
        upstreams=_unique(passes),
        config=opener.file,
        line=opener.line,
    )


_Parse = Callable[[Host, Notes, str, str], Iterator[Directive]]
_Sites = Callable[[Iterator[Directive]], Iterator[WebSite]]
SERVERS: dict[str, tuple[_Parse, _Sites]] = {
    "nginx": (_config_web.nginx, nginx_sites),
    "OpenResty": (_config_web.nginx, nginx_sites),
    "Apache httpd": (_config_web.apache, apache_sites),
}
_APPS = (_config_web.OPENRESTY, _config_web.NGINX, _config_web.APACHE)


def sites_of(
    host: Host, notes: Notes, server: str, config: str, base: str = ""
) -> Iterator[WebSite]:
    """Sites of one configuration of a server named in SERVERS; `base` leads to a container."""
    parse, rows = SERVERS[server]
    return rows(parse(host, notes, config, base))


def sites(host: Host, notes: Notes) -> Iterator[WebSite]:
    """Sites of every web server found, running or not."""
    done: set[tuple[str, str]] = set()
    for found in _config_apps.discover(host, notes, _APPS):
        if not found.config or (found.base, found.config) in done:
            continue
        done.add((found.base, found.config))
        for row in sites_of(host, notes, found.app.name, found.config, found.base):
            yield msgspec.structs.replace(
                row,
                server=found.app.name,
                container=found.container,
                root=_rooted(row.root, found),
                upstreams=[_config.without_password(u)[:1024] for u in row.upstreams],
            )


def _rooted(root: str, found: _config_apps.Instance) -> str:
    """Nginx resolves a relative root against its prefix, the parent of conf/ or of sbin/."""
    if not root or root.startswith(("/", "$")):
        return root
    return posixpath.join(posixpath.dirname(posixpath.dirname(found.exe)), root)


def collect(host: Host, notes: Notes) -> Iterator[WebSite]:
    """Rows by configuration. Works on files alone."""
    equal: dict[str, int] = {}
    for count, row in enumerate(sites(host, notes)):
        if count >= MAX_SITES:
            notes.add(row.config, f"more than {MAX_SITES} sites; the rest is left out", hides=True)
            return
        key = row.key()
        equal[key] = number = equal.get(key, 0) + 1
        yield row if number == 1 else msgspec.structs.replace(row, occurrence=number)


COLLECTOR = Collector("application.web_site", WebSite, collect, every_s=3600)
