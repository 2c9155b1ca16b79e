from __future__ import annotations

import apikit
import pytest

from hauberk.errors import Busy, NotFound, Unauthenticated
from hauberk.schema.view import TokenInput, UserPatch
from hauberk.store import access
from hauberk.store.database import open_database, sqlite_url


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


def test_the_first_admin_is_made_once(stack):
    assert access.ensure_admin(stack.engine, stack.clock) is None
    assert [u.name for u in stack.context.access.users("default")] == ["admin"]


def test_the_printed_password_works_and_reset_ends_sessions(tmp_path):
    clock = apikit.TestClock()
    engine = open_database(sqlite_url(tmp_path / "s.db"))
    password = access.ensure_admin(engine, clock)
    doors = access.Access(engine, clock)
    opened = doors.log_in("admin", password, client="1.1.1.1")
    assert (opened.tenant, opened.role) == ("default", "admin")
    assert doors.by_session(opened.token).name == "admin"
    fresh = access.reset(engine, clock, "default", "admin", actor="local:root")
    assert doors.by_session(opened.token) is None
    with pytest.raises(Unauthenticated):
        doors.log_in("admin", password, client="1.1.1.1")
    assert doors.log_in("admin@default", fresh, client="1.1.1.1").name == "admin"
    with pytest.raises(NotFound, match="nobody"):
        access.reset(engine, clock, "default", "nobody", actor="local:root")
    engine.dispose()


def test_reset_enables_a_disabled_user(stack):
    doors = stack.context.access
    user = stack.user("default", "eve", "viewer")
    doors.change_user("default", user, UserPatch(disabled=True))
    fresh = access.reset(stack.engine, stack.clock, "default", "eve", actor="local:root")
    assert doors.log_in("eve", fresh, client="1.1.1.1").name == "eve"


def test_wrong_user_wrong_tenant_and_wrong_password_look_the_same(stack):
    stack.user("other", "eve", "viewer")
    said = set()
    for name in ("eve", "eve@nowhere", "nobody@other", "eve@other", "@", "a@b@c"):
        with pytest.raises(Unauthenticated) as caught:
            stack.context.access.log_in(name, "wrong", client="c")
        said.add(str(caught.value))
    assert len(said) == 1
    assert stack.context.access.log_in("eve@other", apikit.PASSWORD, client="c").tenant == "other"


def test_a_client_that_tries_many_names_has_to_wait(stack):
    doors = stack.context.access
    for n in range(20):
        with pytest.raises(Unauthenticated):
            doors.log_in(f"user{n}", "wrong", client="6.6.6.6")
    with pytest.raises(Busy):
        doors.log_in("another", "wrong", client="6.6.6.6")
    stack.user("default", "eve", "viewer")
    assert doors.log_in("eve", apikit.PASSWORD, client="7.7.7.7").name == "eve"


def test_one_ipv6_network_is_one_client(stack):
    doors = stack.context.access
    for n in range(20):
        with pytest.raises(Unauthenticated):
            doors.log_in(f"user{n}", "wrong", client=f"2001:db8::{n:x}")
    with pytest.raises(Busy):
        doors.log_in("another", "wrong", client="2001:db8::ffff")


def test_guesses_at_once_are_counted_before_they_are_checked(stack, monkeypatch):
    doors = stack.context.access
    stack.user("default", "eve", "viewer")
    inside = []

    def verify(_stored, _password):
        if len(inside) < 30:
            inside.append(1)
            with pytest.raises((Unauthenticated, Busy)):
                doors.log_in("eve", "wrong", client="7.7.7.7")
        return False

    monkeypatch.setattr(access.passwords, "verify", verify)
    with pytest.raises(Unauthenticated):
        doors.log_in("eve", "wrong", client="7.7.7.7")
    assert len(inside) == 5


def test_logins_that_must_wait_for_a_slot_are_no_failures(stack, monkeypatch):
    doors = stack.context.access
    stack.user("default", "eve", "viewer")

    def busy(_stored, _password):
        raise Busy("too many logins at once")

    with monkeypatch.context() as patch:
        patch.setattr(access.passwords, "verify", busy)
        for _ in range(30):
            with pytest.raises(Busy, match="at once"):
                doors.log_in("eve", apikit.PASSWORD, client="7.7.7.7")
    assert doors.log_in("eve", apikit.PASSWORD, client="7.7.7.7").name == "eve"


def test_sessions_of_one_user_are_bounded(stack, monkeypatch):
    monkeypatch.setattr(access, "MAX_SESSIONS", 3)
    stack.user("default", "eve", "viewer")
    tokens = []
    for _ in range(5):
        tokens.append(stack.context.access.log_in("eve", apikit.PASSWORD, client="c").token)
        stack.clock.forward(1)
    alive = [stack.context.access.by_session(t) is not None for t in tokens]
    assert alive == [False, False, True, True, True]


def test_a_token_is_not_a_session_and_the_other_way(stack):
    doors = stack.context.access
    stack.user("default", "eve", "viewer")
    opened = doors.log_in("eve", apikit.PASSWORD, client="c")
    token = doors.create_token("default", TokenInput(name="t", role="viewer"), created_by="x").token
    assert doors.by_session(token) is None
    assert doors.by_token(opened.token) is None
    assert doors.by_token(token).role == "viewer"
    assert doors.by_token("hbt_wrong") is None
