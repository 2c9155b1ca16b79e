"""software.language_package in all its ecosystems."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import _software
from hauberk.assets import software_language_package as module
from hauberk.assets.software_language_package import (
    COLLECTOR,
    LanguagePackage,
    collect,
    kind_of,
    parse_composer,
    parse_gemspec,
    parse_node,
    parse_python,
)
from hauberk.host.memory import DictHost
from hauberk.ports import Notes
from hauberk.schema.asset import columns_of

SITE = "/usr/lib/python3/dist-packages"
METADATA = "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.2.3\nLicense: MIT\n\nName: not-this\n"
STUB = "# -*- encoding: utf-8 -*-\n# stub: rake 13.0.6 ruby lib\n\nGem::Specification.new do |s|\nend\n"


def run(files, **kwargs):
    notes = Notes()
    return list(collect(DictHost(files, **kwargs), notes)), notes.problems


def test_it_is_declared_as_an_asset():
    assert COLLECTOR.struct is LanguagePackage
    assert {c.name for c in columns_of(LanguagePackage)} >= {"ecosystem", "name", "path", "owner"}


def test_every_ecosystem():
    rows, problems = run(
        {
            f"{SITE}/foo_bar-1.2.3.dist-info/METADATA": METADATA,
            f"{SITE}/old.egg-info/PKG-INFO": "Name: old\nVersion: 1\n",
            f"{SITE}/older.egg-info": "Name: older\nVersion: 2\n",
            f"{SITE}/zipped.egg/EGG-INFO/PKG-INFO": "Name: zipped\nVersion: 3\n",
            "/srv/a/node_modules/left/package.json": '{"name": "left", "version": "1.0.0"}',
            "/srv/a/node_modules/@s/p/package.json": '{"name": "@s/p", "version": "2.0.0", "license": "MIT"}',
            "/srv/a/node_modules/left/node_modules/deep/package.json": '{"name": "deep", "version": "3.0.0"}',
            "/var/lib/gems/3.1.0/specifications/rake-13.0.6.gemspec": STUB,
            "/srv/php/vendor/composer/installed.json": json.dumps(
                {"packages": [{"name": "monolog/monolog", "version": "3.5.0", "license": ["MIT"]}]}
            ),
            "/opt/conda/conda-meta/zlib-1.3-h.json": '{"name": "zlib", "version": "1.3"}',
        }
    )
    assert not problems
    assert {(r.ecosystem, r.name, r.version, r.location, r.purl) for r in rows} == {
        ("pypi", "Foo_Bar", "1.2.3", SITE, "pkg:pypi/foo-bar@1.2.3"),
        ("pypi", "old", "1", SITE, "pkg:pypi/old@1"),
        ("pypi", "older", "2", SITE, "pkg:pypi/older@2"),
        ("pypi", "zipped", "3", f"{SITE}/zipped.egg", "pkg:pypi/zipped@3"),
        ("npm", "left", "1.0.0", "/srv/a/node_modules", "pkg:npm/left@1.0.0"),
        ("npm", "@s/p", "2.0.0", "/srv/a/node_modules", "pkg:npm/%40s/p@2.0.0"),
        ("npm", "deep", "3.0.0", "/srv/a/node_modules/left/node_modules", "pkg:npm/deep@3.0.0"),
        (
            "gem",
            "rake",
            "13.0.6",
            "/var/lib/gems/3.1.0/specifications/rake-13.0.6.gemspec",
            "pkg:gem/rake@13.0.6",
        ),
        (
            "composer",
            "monolog/monolog",
            "3.5.0",
            "/srv/php/vendor",
            "pkg:composer/monolog/monolog@3.5.0",
        ),
        ("conda", "zlib", "1.3", "/opt/conda", "pkg:conda/zlib@1.3"),
    }
    assert len({r.key() for r in rows}) == len(rows)


@pytest.mark.parametrize(
    "path",
    [
        "/srv/a/package.json",
        "/srv/a/node_modules/left/lib/package.json",
        "/srv/a/METADATA",
        "/srv/a/x.gemspec",
        "/srv/a/installed.json",
        "/srv/a/other.json",
        "/srv/PKG-INFO",
        "/",
        "",
    ],
)
def test_other_files_are_no_evidence(path):
    assert kind_of(path) is None


def test_the_owner_is_the_package_that_has_the_file():
    path = f"{SITE}/foo_bar-1.2.3.dist-info/METADATA"
    rows, _ = run(
        {
            path: METADATA,
            "/opt/v/lib/foo_bar-9.dist-info/METADATA": "Name: foo_bar\nVersion: 9\n",
            "/var/lib/dpkg/status": "Package: python3-foo\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
            "/var/lib/dpkg/info/python3-foo.list": f"/.\n{path}\n",
        }
    )
    assert {r.version: r.owner for r in rows} == {
        "1.2.3": "dpkg\x1fpython3-foo\x1fall\x1f",
        "9": "",
    }


def test_two_versions_in_one_folder_are_two_rows():
    rows, _ = run(
        {
            f"{SITE}/a-1.dist-info/METADATA": "Name: a\nVersion: 1\n",
            f"{SITE}/a-2.dist-info/METADATA": "Name: a\nVersion: 2\n",
        }
    )
    assert [r.version for r in rows] == ["1", "2"]
    assert len({r.key() for r in rows}) == 2


def test_kernel_views_and_container_stores_are_left_out():
    meta = "lib/a-1.dist-info/METADATA"
    rows, problems = run(
        {
            f"{top}/{meta}": "Name: a\nVersion: 1\n"
            for top in ("/proc/1/root", "/var/lib/docker/overlay2/x", "/run/x", "/opt")
        }
    )
    assert [r.path for r in rows] == [f"/opt/{meta}"]
    assert not problems


def test_damaged_and_unreadable_files_are_told_and_cost_only_themselves():
    good = "/srv/node_modules/good/package.json"
    rows, problems = run(
        {
            good: '{"name": "good", "version": "1"}',
            "/srv/node_modules/bad/package.json": "{",
            "/srv/node_modules/marker/package.json": '{"type": "module"}',
            "/srv/node_modules/odd/package.json": '{"name": 5, "version": ["x"]}',
            "/srv/node_modules/deep/package.json": '{"name":' + "[" * 100_000,
            "/srv/node_modules/secret/package.json": "{}",
        },
        denied=["/srv/node_modules/secret/package.json"],
    )
    assert [r.path for r in rows] == [good]
    assert sorted(p.where.split("/")[3] for p in problems) == ["bad", "deep", "secret"]


def test_bounds_are_told(monkeypatch):
    files = {f"/x/p{i}-1.dist-info/METADATA": f"Name: p{i}\nVersion: 1\n" for i in range(5)}
    monkeypatch.setattr(module, "MAX_ROWS", 3)
    rows, problems = run(files)
    assert len(rows) == 3
    assert "more than 3 language packages" in problems[0].what
    monkeypatch.undo()
    notes = Notes()
    found = list(_software.find(DictHost(files), notes, lambda _: True, max_entries=4))
    assert len(found) < 5
    assert "not looked at" in notes.problems[0].what


def test_batches_join_without_loss(monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    files = {f"/x/p{i}-1.dist-info/METADATA": f"Name: p{i}\nVersion: 1\n" for i in range(5)}
    assert len(run(files)[0]) == 5


def test_gemspec_without_a_stub_line():
    text = b'Gem::Specification.new do |s|\n  s.name = "json".freeze\n  s.version = "2.6.1"\nend\n'
    assert parse_gemspec(text) == [("json", "2.6.1", "")]
    assert parse_gemspec(b"s.name = x") == []


def test_composer_1_is_a_list():
    assert parse_composer(b'[{"name": "a/b", "version": "1", "license": {"type": "X"}}]') == [
        ("a/b", "1", "X")
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_a_value_error(data):
    parse_python(data)
    parse_gemspec(data)
    for parse in (parse_node, parse_composer):
        try:
            parse(data)
        except ValueError:
            continue
