"""Counts requests for Prometheus; labels are route patterns, so their number is bounded."""

from __future__ import annotations

from litestar.types import Message, Scope
from prometheus_client import CollectorRegistry, Counter


class Requests:
    """The request counter of one application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._total = _counter(registry)

    async def count(self, message: Message, scope: Scope) -> None:
        """Hook `before_send`."""
        if message["type"] != "http.response.start":
            return
        handler = scope.get("route_handler")
        route = str(scope.get("path_template") or getattr(handler, "handler_name", "none"))
        self._total.labels(str(scope.get("method", "")), route, str(message["status"])).inc()


def _counter(registry: CollectorRegistry) -> Counter:
    # The local and the public application of one server share a registry.
    known = getattr(registry, "_hauberk_requests", None)
    if known is None:
        known = Counter(
            "hauberk_http_requests",
            "Answered requests",
            ["method", "route", "status"],
            registry=registry,
        )
        registry._hauberk_requests = known  # type: ignore[attr-defined]  # noqa: SLF001
    assert isinstance(known, Counter)  # noqa: S101
    return known
