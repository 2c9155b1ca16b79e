import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk import signing
from hauberk.errors import Refused

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_a_signature_holds_for_its_context_only():
    signature = signing.sign(KEY, "batch", b"m")
    assert len(signature) == signing.SIGNATURE_SIZE
    signing.verify(KEY.public_key(), "batch", b"m", signature)
    for context in ("task", "desired", "rotate", "pack"):
        with pytest.raises(Refused, match=context):
            signing.verify(KEY.public_key(), context, b"m", signature)


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(63), bytes(65)])
def test_other_signatures_are_refused(signature):
    with pytest.raises(Refused):
        signing.verify(KEY.public_key(), "task", b"m", signature)


def test_raw_public_is_the_same_from_both_halves():
    assert signing.raw_public(KEY) == signing.raw_public(KEY.public_key())
    assert len(signing.raw_public(KEY)) == 32
