from __future__ import annotations


def test_secrets_are_shown_once(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        user = client.post("/api/v1/users", json={"name": "bob", "role": "viewer"}).json()
        token = client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"}).json()
        assert user["password"]
        assert token["token"].startswith("hbt_")
        listed = client.get("/api/v1/users").text + client.get("/api/v1/tokens").text
        assert user["password"] not in listed
        assert token["token"] not in listed
        fresh = client.post(f"/api/v1/users/{user['id']}/reset").json()
        assert fresh["password"] not in (None, user["password"])
        audit = client.get("/api/v1/audit").text
        for secret in (user["password"], token["token"], fresh["password"]):
            assert secret not in audit


def test_a_chosen_password_is_not_echoed(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        body = {"name": "bob", "role": "viewer", "password": "correct horse battery"}
        assert client.post("/api/v1/users", json=body).json()["password"] is None


def test_a_changed_role_counts_at_once(stack):
    user = stack.user("default", "eve", "viewer")
    with stack.client() as client:
        client.post("/api/v1/session", json={"name": "eve", "password": "correct horse battery"})
        assert client.get("/api/v1/users").status_code == 403
        admin = stack.token("default", "admin")
        client.patch(f"/api/v1/users/{user}", json={"role": "admin"}, headers=admin)
        assert client.get("/api/v1/users").status_code == 200
