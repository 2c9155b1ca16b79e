import json

from sqlalchemy import update

from hauberk.store.tables import audit


def test_unsafe_commands_are_listed_and_the_chain_is_intact(hauberk):
    hauberk("users", "add", "audited")
    rows = json.loads(hauberk("audit", "list", "-o", "json").out)
    assert any("user" in r["action"] for r in rows)
    checked = hauberk("audit", "verify")
    assert checked.code == 0
    assert checked.out.startswith("intact: ")


def test_a_changed_entry_breaks_the_chain(hauberk, stack):
    hauberk("users", "add", "before-tamper", "--tenant", "other")
    with stack.engine.begin() as db:
        db.execute(update(audit).where(audit.c.tenant == "other").values(actor="somebody-else"))
    done = hauberk("audit", "verify", "--tenant", "other")
    assert done.code == 1
    assert "BROKEN at entry" in done.out
