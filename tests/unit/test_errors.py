import inspect
import re

import pytest

from hauberk import errors


def test_the_docstring_draws_the_tree():
    classes = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.HauberkError)
    }
    path, drawn = [], {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+)", line)
        if found and found[2] in classes:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn[found[2]] = path[depth - 1] if depth else "Exception"
    assert drawn == {name: cls.__mro__[1].__name__ for name, cls in classes.items()}


def test_temporary_says_when_to_try_again():
    assert errors.Busy("full", retry_after=2.5).retry_after == 2.5
    assert errors.Unreachable("gone").retry_after == 5.0


def test_bad_input_names_the_place():
    error = errors.BadContent("mend it", source="a.yaml", line=3)
    assert str(error) == "a.yaml:3: mend it"
    assert (error.source, error.line) == ("a.yaml", 3)
    assert str(errors.BadInput("x", source="s")) == "s: x"
    assert str(errors.BadInput("x")) == "x"


@pytest.mark.parametrize("asked", [float("inf"), float("nan"), -1.0, 1e300])
def test_no_peer_makes_anybody_sleep_for_ever(asked):
    assert 0 <= errors.Busy("full", retry_after=asked).retry_after <= 3600
