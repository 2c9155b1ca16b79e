from __future__ import annotations

import msgspec
import pytest

from hauberk.schema import input as bodies

BODIES = [
    kind
    for kind in vars(bodies).values()
    if isinstance(kind, type)
    and issubclass(kind, msgspec.Struct)
    and kind.__module__ == bodies.__name__
]


@pytest.mark.parametrize("kind", BODIES)
def test_unknown_fields_are_refused(kind):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"no_such_field": 1}', type=kind)
    assert kind.__struct_config__.forbid_unknown_fields


def test_nested_fields_are_refused_too():
    good = b'{"version": 1, "schedule": {"jitter": 0.2}, "budget": {}}'
    found = msgspec.json.decode(good, type=bodies.DesiredInput)
    assert (found.version, found.schedule.jitter) == (1, 0.2)
    with pytest.raises(msgspec.ValidationError, match="nope"):
        msgspec.json.decode(good.replace(b"jitter", b"nope"), type=bodies.DesiredInput)
