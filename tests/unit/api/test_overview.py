from __future__ import annotations


def test_taxonomy_has_all_38_with_columns(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "viewer"))
        classes = client.get("/api/v1/taxonomy").json()
        whole = client.get("/api/v1/overview").json()
    assert [len(c["subclasses"]) for c in classes] == [4, 3, 5, 4, 5, 4, 3, 5, 5]
    assert whole["assets"] == classes
    assert all(len(s["title"]) == 2 for c in classes for s in c["subclasses"])
