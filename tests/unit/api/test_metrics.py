from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from hauberk.api.metrics import Requests


def test_labels_are_patterns(stack):
    with stack.client() as client:
        for name in ("a", "b", "c"):
            client.get(f"/api/v1/asset/{name}", headers=stack.token("default", "viewer"))
            client.get(f"/{name}")
        client.get("/api/v1/a/b/c")
    text = generate_latest(stack.context.registry).decode()
    assert 'route="/api/v1/asset/{asset_id}",status="404"} 3.0' in text
    assert '"/a"' not in text
    assert "/api/v1/asset/a" not in text


def test_two_applications_share_a_registry():
    registry = CollectorRegistry()
    Requests(registry)
    Requests(registry)
    assert "hauberk_http_requests" in generate_latest(registry).decode()
