from __future__ import annotations

from sqlalchemy import insert

from hauberk.store.database import write
from hauberk.store.tables import job


def test_other_tenants_see_neither_jobs_nor_stores(stack):
    with write(stack.engine) as db:
        db.execute(insert(job).values(id="1", kind="compact", due_ns=1, message="default/x"))
    with stack.client() as client:
        for tenant, count in (("default", 1), ("other", 0)):
            headers = stack.token(tenant, "admin")
            assert len(client.get("/api/v1/jobs", headers=headers).json()) == count
            system = client.get("/api/v1/system", headers=headers).json()
            assert len(system["jobs"]) == count
            assert system["version"] == "0.1.0"


def test_a_tenant_is_made_with_its_admin(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        made = client.post("/api/v1/tenants", json={"id": "acme", "title": "ACME"})
        assert made.status_code == 201
        login = {"name": "admin@acme", "password": made.json()["admin_password"]}
        assert client.post("/api/v1/session", json=login).json()["operator"] is False
        assert client.post("/api/v1/tenants", json={"id": "acme"}).status_code == 409
        assert client.post("/api/v1/tenants", json={"id": "A/B"}).status_code == 400


def test_audit_verify(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        client.post("/api/v1/enrolments", json={})
        check = client.get("/api/v1/audit/verify").json()
        newest = client.get("/api/v1/audit?limit=1").json()["items"][0]
    assert check["intact"] is True
    assert check["head"] == newest["hash"]
    assert newest["action"] == "enrolment.create"
