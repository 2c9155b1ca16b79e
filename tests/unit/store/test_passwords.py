from __future__ import annotations

import threading

import pytest

from hauberk.errors import BadInput, Busy
from hauberk.store import passwords


def test_a_hash_is_argon2id_and_fits_its_password_alone():
    stored = passwords.hash_password("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert passwords.verify(stored, "correct horse battery")
    assert not passwords.verify(stored, "correct horse batter")
    assert not passwords.verify(None, "correct horse battery")
    assert not passwords.verify("not a hash", "x")


def test_length_is_bounded():
    for bad in ("short", "x" * 257):
        with pytest.raises(BadInput, match="12 to 256"):
            passwords.hash_password(bad)
    stored = passwords.hash_password("x" * 256)
    assert passwords.verify(stored, "x" * 256)
    assert not passwords.verify(stored, "x" * 300)


def test_made_secrets_differ():
    made = {passwords.generate() for _ in range(50)} | {passwords.new_secret() for _ in range(50)}
    assert len(made) == 100
    assert all(len(passwords.generate()) == 23 for _ in range(5))
    assert passwords.new_secret("hbt_").startswith("hbt_")
    assert passwords.digest("a") != passwords.digest("b")
    assert len(passwords.digest("a")) == 64


def test_few_logins_wait_at_once(monkeypatch):
    monkeypatch.setattr(passwords, "_places", threading.BoundedSemaphore(1))
    with passwords._slot(), pytest.raises(Busy), passwords._slot():
        pass
    assert passwords.verify(passwords.hash_password("x" * 20), "x" * 20)
