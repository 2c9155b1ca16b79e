"""Stores that count as database and as middleware: described once, listed in both."""

from __future__ import annotations

from ._config_apps import App

_OPTIONS = {"--port": "port", "--bind": "address", "--dir": "data"}
_KEYS = {"port": "port", "bind": "address", "dir": "data"}

REDIS = App(
    name="Redis",
    exes=r"redis-server|redis-check-rdb|redis-sentinel",
    files=("/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/redis*/bin/redis-server"),
    packages=("redis-server", "redis-tools", "redis"),
    version=rb"\x00(\d{1,2}\.\d{1,3}\.\d{1,3})\x00[a-z0-9-]{0,16}-builtin\x00",
    near=b"-builtin\x00",
    path_version=r"/redis[_-](\d{1,6}\.\d{1,6}\.\d{1,6})/",
    configs=("/etc/redis/redis.conf", "/etc/redis.conf", "/usr/local/etc/redis/redis.conf"),
    options=_OPTIONS,
    keys=_KEYS,
    port="6379",
)  # fmt: skip
VALKEY = App(
    name="Valkey",
    exes=r"valkey-server|valkey-sentinel",
    files=("/usr/bin/valkey-server", "/usr/local/bin/valkey-server"),
    packages=("valkey-server", "valkey"),
    configs=("/etc/valkey/valkey.conf",),
    options=_OPTIONS,
    keys=_KEYS,
    port="6379",
)
