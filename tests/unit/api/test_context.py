from __future__ import annotations

import pytest

from hauberk.api.context import Identity


@pytest.mark.parametrize(
    ("tenant", "role", "local", "operator"),
    [
        ("default", "admin", False, True),
        ("default", "analyst", False, False),
        ("other", "admin", False, False),
        ("other", "admin", True, True),
    ],
)
def test_who_is_the_operator(tenant, role, local, operator):
    who = Identity(name="x", tenant=tenant, role=role, via="token", local=local)
    assert who.operator is operator


def test_now(stack):
    assert stack.context.now_ms() == stack.clock.now // 10**6
