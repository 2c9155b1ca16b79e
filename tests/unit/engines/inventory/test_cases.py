"""The runner of role fixtures tells what does not hold."""

import msgspec
import pytest

from hauberk.assets.os_module import KernelModule
from hauberk.assets.runtime_process import Process
from hauberk.content.role import RoleCase, parse
from hauberk.engines.inventory.cases import build, check

STRUCTS = {"runtime.process": Process, "os.module": KernelModule}
ROLE = b"""
id: demo
title: {en: Demo server, zh: demo}
category: web
evidence:
  - {weight: 80, process: {name: [demo]}}
implies: [other]
tests:
  positive: [{name: runs, rows: {runtime.process: [{name: %s}]}}]
  negative: [{name: other, rows: {runtime.process: [{name: %s}]}}]
"""


def role(positive=b"demo", negative=b"x"):
    return parse("demo.yaml", ROLE % (positive, negative))


def test_fixtures_that_hold():
    assert check(role(), STRUCTS) == []


def test_fixtures_that_do_not():
    assert "runs: is not recognised" in check(role(positive=b"x"), STRUCTS)[0]
    assert "other: is taken for it: ['process demo']" in check(role(negative=b"demo"), STRUCTS)[0]


def test_rows_must_fit_their_subclass():
    wrong = msgspec.structs.replace(
        role(),
        tests=msgspec.structs.replace(
            role().tests,
            positive=[RoleCase(name="odd", rows={"runtime.process": [{"nome": "demo"}]})],
            negative=[RoleCase(name="none", rows={"network.nic": [{}]})],
        ),
    )
    first, second = check(wrong, STRUCTS)
    assert "odd: Process has no column 'nome'" in first
    assert "none: 'network.nic'" in second


def test_required_columns_are_filled():
    (row,) = build(RoleCase(name="x", rows={"runtime.process": [{"name": "a"}]}), STRUCTS)[
        "runtime.process"
    ]
    assert (row.pid, row.start_ns, row.name) == (0, 0, "a")
    with pytest.raises(msgspec.ValidationError):
        build(RoleCase(name="x", rows={"runtime.process": [{"name": 5}]}), STRUCTS)
