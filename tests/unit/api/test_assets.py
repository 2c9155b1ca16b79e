from __future__ import annotations


def test_an_export_is_a_file_with_a_safe_name(stack):
    home = stack.workload("default", "one")
    stack.asset("default", home, "access.user", "root", name="root")
    with stack.client() as client:
        client.headers.update(stack.token("default", "viewer"))
        answer = client.get("/api/v1/assets/access.user/export")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="access-user.csv"'
        wrong = client.get('/api/v1/assets/a"b/export')
        assert wrong.status_code == 404


def test_filter_parameters_reach_the_list(stack):
    home = stack.workload("default", "one")
    for name in ("a", "b"):
        stack.asset("default", home, "access.user", name, name=name)
    with stack.client() as client:
        client.headers.update(stack.token("default", "viewer"))
        url = "/api/v1/assets/access.user"
        assert client.get(url, params={"filter": "name = b"}).json()["total"] == 1
        assert client.get(url, params={"sort": "-name"}).json()["items"][0]["label"] == "b"
        assert client.get(url, params={"workload": "nope"}).json()["total"] == 0
        assert len(client.get(url, params={"limit": 1}).json()["items"]) == 1
