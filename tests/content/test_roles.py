"""Every role file is sound alone, in the set, and by its own fixtures."""

from collections import Counter
from pathlib import Path

import pytest

from hauberk.content.role import CATEGORIES, lint, parse
from hauberk.engines.inventory.cases import build, check
from hauberk.engines.inventory.roles import tags
from hauberk.host.collect import collectors
from hauberk.host.shipped import shipped

FILES = dict(shipped("roles"))
STRUCTS = {subclass: collector.struct for subclass, collector in collectors().items()}
ROLES = {name: parse(name, data) for name, data in FILES.items()}


def test_there_are_the_promised_roles():
    assert len(ROLES) >= 100


def test_the_set_is_sound():
    assert lint(list(ROLES.values())) == []


def test_files_lie_flat_and_are_small():
    assert all("/" not in name for name in FILES)
    assert max(len(data) for data in FILES.values()) < 8_000


def test_every_category_is_used():
    used = Counter(role.category for role in ROLES.values())
    assert set(used) == set(CATEGORIES)


@pytest.mark.parametrize("name", FILES)
def test_own_fixtures_hold(name):
    assert check(ROLES[name], STRUCTS) == []


@pytest.mark.parametrize("name", FILES)
def test_own_fixtures_hold_among_all_roles(name):
    """With every role known, conflicts and implications must not hide or invent this one."""
    role = ROLES[name]
    for wanted, cases in ((True, role.tests.positive), (False, role.tests.negative)):
        for case in cases:
            found = tags(
                build(case, STRUCTS), ROLES.values(), exists=frozenset(case.paths).__contains__
            )
            assert (role.id in [tag.role for tag in found]) is wanted, case.name


@pytest.mark.parametrize("name", FILES)
def test_every_piece_of_evidence_can_be_met(name):
    """Row evidence names a column that its subclass has; image patterns match an image."""
    for evidence in ROLES[name].evidence:
        if evidence.row is not None:
            assert evidence.row.field in STRUCTS[evidence.row.subclass].__struct_fields__


def test_an_empty_machine_has_no_role():
    assert tags({}, ROLES.values(), exists=lambda _: False) == []


def test_no_role_hangs_on_paths_alone_unless_it_says_so():
    """A configuration left behind is no service; the few site roles are known by their files."""
    only_paths = {tag.role for tag in tags({}, ROLES.values(), exists=lambda _: True)}
    assert only_paths == {"nextcloud", "wordpress"}


def test_the_source_tree_and_the_package_hold_the_same_files():
    folder = Path(__file__).parents[2] / "src/hauberk/content/roles"
    assert {path.name for path in folder.glob("*.yaml")} == set(FILES)
