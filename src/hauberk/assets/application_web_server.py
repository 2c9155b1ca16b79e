"""application.web_server: web servers, proxies and servlet containers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hauberk.ports import Collector, Host, Notes

from ._config_apps import App, Application, rows
from ._config_web import APACHE, NGINX, OPENRESTY
from .application_web_site import SERVERS, sites_of

APPS: tuple[App, ...] = (
    OPENRESTY,
    NGINX,
    APACHE,
    App(
        name="lighttpd",
        exes=r"lighttpd",
        files=("/usr/sbin/lighttpd", "/usr/local/sbin/lighttpd"),
        version=rb"lighttpd/(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("lighttpd",),
        configs=("/etc/lighttpd/lighttpd.conf",),
        options={"-f": "config"},
        keys={"server.port": "port", "server.bind": "address", "server.username": "user",
              "server.document-root": "data"},
        port="80",
    ),
    App(
        name="Caddy",
        exes=r"caddy",
        files=("/usr/bin/caddy", "/usr/local/bin/caddy"),
        version=rb"\tgithub\.com/caddyserver/caddy/v2\tv(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("caddy",),
        configs=("/etc/caddy/Caddyfile",),
        options={"--config": "config"},
        port="443",
    ),
    App(
        name="HAProxy",
        exes=r"haproxy",
        files=("/usr/sbin/haproxy", "/usr/local/sbin/haproxy"),
        version=rb"version (\d{1,2}\.\d{1,3}\.\d{1,3})[^\x00]{0,64}, released",
        packages=("haproxy",),
        configs=("/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg"),
        options={"-f": "config"},
        keys={"bind": "address", "user": "user"},
    ),
    App(
        name="Traefik",
        exes=r"traefik",
        files=("/usr/bin/traefik", "/usr/local/bin/traefik"),
        version=rb"\tgithub\.com/traefik/traefik/v\d\tv(\d{1,6}\.\d{1,6}\.\d{1,6})",
        configs=("/etc/traefik/traefik.yml", "/etc/traefik/traefik.toml"),
        options={"--configfile": "config", "--configFile": "config"},
    ),
    App(
        name="Envoy",
        exes=r"envoy",
        files=("/usr/bin/envoy", "/usr/local/bin/envoy"),
        packages=("envoy", "getenvoy-envoy"),
        configs=("/etc/envoy/envoy.yaml",),
        options={"-c": "config", "--config-path": "config"},
    ),
    App(
        name="Varnish",
        exes=r"varnishd",
        files=("/usr/sbin/varnishd", "/usr/local/sbin/varnishd"),
        version=rb"varnish-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("varnish",),
        configs=("/etc/varnish/default.vcl",),
        options={"-f": "config", "-a": "address"},
    ),
    App(
        name="Tomcat",
        exes=r"java",
        marks=("org.apache.catalina.startup.Bootstrap",),
        files=("/usr/share/tomcat*/lib/catalina.jar", "/opt/*tomcat*/lib/catalina.jar",
               "/usr/local/*tomcat*/lib/catalina.jar"),
        path_version=r"apache-tomcat-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("tomcat10", "tomcat9", "tomcat8"),
        configs=("/etc/tomcat*/server.xml", "/opt/*tomcat*/conf/server.xml",
                 "/usr/local/*tomcat*/conf/server.xml"),
        options={"-Dcatalina.base": "data"},
        data_config="conf/server.xml",
        port="8080",
    ),
    App(
        name="Jetty",
        exes=r"java",
        marks=("org.eclipse.jetty.start",),
        files=("/opt/*jetty*/lib/jetty-server-[0-9]*.jar",
               "/usr/share/jetty*/lib/jetty-server-[0-9]*.jar"),
        path_version=r"jetty-(?:server|home|distribution)-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("jetty9",),
        options={"-Djetty.base": "data"},
        port="8080",
    ),
    App(
        name="uWSGI",
        exes=r"uwsgi(-core|_python3?\d*)?",
        files=("/usr/bin/uwsgi-core", "/usr/bin/uwsgi", "/usr/local/bin/uwsgi"),
        packages=("uwsgi-core", "uwsgi"),
        options={"--ini": "config", "--http": "address", "--socket": "address", "--uid": "user"},
    ),
    App(
        name="Gunicorn",
        exes=r"python\d*(\.\d+)?",
        marks=("gunicorn",),
        files=("/usr/bin/gunicorn", "/usr/bin/gunicorn3", "/usr/local/bin/gunicorn"),
        packages=("gunicorn", "gunicorn3"),
        options={"-c": "config", "--config": "config", "-b": "address", "--bind": "address",
                 "--chdir": "data"},
        port="8000",
    ),
)  # fmt: skip


class WebServer(Application, frozen=True, kw_only=True):
    """One web server instance, or an installed one that does not run."""


def collect(host: Host, notes: Notes) -> Iterator[WebServer]:
    """Running instances first. Works on files alone: `running` is None then."""
    for values in rows(host, notes, APPS):
        row = msgspec.convert(values, WebServer)
        if row.config and not row.listen and row.name in SERVERS:
            base = f"/proc/{row.pid}/root" if row.container else ""
            found = sites_of(host, notes, row.name, row.config, base)
            addresses = dict.fromkeys(a for site in found for a in site.listen)
            row = msgspec.structs.replace(row, listen=list(addresses)[:64])
        yield row


COLLECTOR = Collector("application.web_server", WebServer, collect, every_s=3600)
