from __future__ import annotations

import pytest

from hauberk.api.auditing import audited
from hauberk.api.context import Identity
from hauberk.errors import Conflict, StorageFull
from hauberk.store import audit

WHO = Identity(name="eve", tenant="other", role="admin", via="token")


def last(stack):
    return audit.page(stack.engine, "other", "", None, 1, 0).items[0]


def test_done_and_refused_are_told(stack):
    with audited(stack.context, WHO, "x.make", "a", role="viewer", nothing=None) as entry:
        entry.detail["id"] = 7
    found = last(stack)
    assert (found.actor, found.action, found.target) == ("token:eve", "x.make", "a")
    assert found.detail == {"role": "viewer", "id": 7, "outcome": "done"}
    with pytest.raises(Conflict), audited(stack.context, WHO, "x.make", "b"):
        raise Conflict("taken")
    assert last(stack).detail == {"outcome": "refused", "reason": "taken"}


def test_a_defect_is_no_refusal(stack):
    with pytest.raises(ZeroDivisionError), audited(stack.context, WHO, "x.make", "c"):
        raise ZeroDivisionError
    assert audit.page(stack.engine, "other", "", None, 1, 0).items == []


def test_a_change_without_its_entry_is_not_kept(stack, monkeypatch):
    def no_room(*_args, **_more):
        raise StorageFull("no room for the entry")

    monkeypatch.setattr(audit, "add", no_room)
    with pytest.raises(StorageFull), audited(stack.context, WHO, "user.create", "li"):
        stack.user("other", "li")
    monkeypatch.undo()
    assert "li" not in {u.name for u in stack.context.access.users("other")}


def test_a_refused_change_leaves_its_entry_alone(stack):
    with pytest.raises(Conflict), audited(stack.context, WHO, "user.create", "wu"):
        stack.user("other", "wu")
        raise Conflict("after all")
    assert "wu" not in {u.name for u in stack.context.access.users("other")}
    assert last(stack).detail["outcome"] == "refused"
