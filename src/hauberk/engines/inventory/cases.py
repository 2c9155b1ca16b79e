"""Runs the fixtures that role files carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hauberk.content.role import Role, RoleCase
from hauberk.engines.inventory.roles import tags
from hauberk.schema.asset import Asset

_EMPTY: Mapping[type, object] = {str: "", int: 0, float: 0.0, bool: False}


def check(role: Role, structs: Mapping[str, type[Asset]]) -> list[str]:
    """Failures of a role's own fixtures; empty when every one holds.

    Args:
        role: its conflicts with other roles are not looked at.
        structs: row types by subclass, that the fixtures' rows must fit.
    """
    failures: list[str] = []
    alone = msgspec.structs.replace(role, implies=(), excludes=())
    for wanted, cases in ((True, role.tests.positive), (False, role.tests.negative)):
        for case in cases:
            try:
                snapshot = build(case, structs)
            except (msgspec.ValidationError, LookupError) as error:
                failures.append(f"{role.source}: {case.name}: {error}")
                continue
            found = tags(snapshot, [alone], exists=frozenset(case.paths).__contains__)
            if bool(found) is not wanted:
                verb = "is not recognised" if wanted else f"is taken for it: {found[0].evidence}"
                failures.append(f"{role.source}: {case.name}: {verb}")
    return failures


def build(case: RoleCase, structs: Mapping[str, type[Asset]]) -> dict[str, Sequence[Asset]]:
    """A fixture's rows; required columns that it leaves out are empty.

    Raises:
        msgspec.ValidationError: a row has a column that its subclass has not, or of another type.
        LookupError: no collector has such rows.
    """
    return {
        subclass: [_row(fields, structs[subclass]) for fields in rows]
        for subclass, rows in case.rows.items()
    }


def _row(fields: Mapping[str, Any], struct: type[Asset]) -> Asset:
    known = {field.name: field for field in msgspec.structs.fields(struct)}
    if unknown := sorted(fields.keys() - known.keys()):
        raise msgspec.ValidationError(f"{struct.__name__} has no column {unknown[0]!r}")
    filled = {
        name: _EMPTY.get(getattr(field.type, "__origin__", field.type), "")
        for name, field in known.items()
        if field.required
    }
    return msgspec.convert({**filled, **fields}, struct)
