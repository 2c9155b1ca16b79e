"""software.java_archive: identities, nesting, shading, and archives made to do harm."""

import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import software_java_archive as module
from hauberk.assets.software_java_archive import (
    COLLECTOR,
    JavaArchive,
    collect,
    parse_manifest,
    parse_pom,
)
from hauberk.host.memory import DictHost, Node
from hauberk.host.root import RootHost
from hauberk.ports import Notes
from hauberk.schema.asset import columns_of


def jar(files, *, stored=False):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def pom(group, artifact, version):
    return (
        f"META-INF/maven/{group}/{artifact}/pom.properties",
        f"#Created\nversion={version}\r\ngroupId={group}\r\nartifactId={artifact}\r\n",
    )


LOG4J = jar(
    dict([pom("org.apache.logging.log4j", "log4j-core", "2.14.1")])
    | {
        "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nImplementation-Title: Apache Log4j Core\r\n"
    }
)


def run(files, **kwargs):
    notes = Notes()
    return {r.path: r for r in collect(DictHost(files, **kwargs), notes)}, notes.problems


def test_it_is_declared_as_an_asset():
    assert COLLECTOR.struct is JavaArchive
    assert {c.name for c in columns_of(JavaArchive)} >= {"path", "version", "sha256", "artifacts"}


def test_an_archive_with_maven_coordinates():
    rows, problems = run({"/opt/log4j-core-2.14.1.jar": LOG4J})
    assert not problems
    row = rows["/opt/log4j-core-2.14.1.jar"]
    assert (row.group, row.name, row.version) == (
        "org.apache.logging.log4j",
        "log4j-core",
        "2.14.1",
    )
    assert row.evidence == "pom"
    assert row.sha256 == hashlib.sha256(LOG4J).hexdigest()
    assert row.title == "Apache Log4j Core"
    assert row.purl == "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"
    assert row.size == len(LOG4J)


@pytest.mark.parametrize("stored", [True, False])
def test_nesting_is_followed_to_the_innermost(stored):
    war = jar({"WEB-INF/lib/log4j-core-2.14.1.jar": LOG4J, "index.html": "x"}, stored=stored)
    ear = jar({"app.war": war}, stored=stored)
    rows, problems = run({"/srv/all.ear": ear})
    assert not problems
    assert list(rows) == [
        "/srv/all.ear",
        "/srv/all.ear!/app.war",
        "/srv/all.ear!/app.war!/WEB-INF/lib/log4j-core-2.14.1.jar",
    ]
    inner = rows["/srv/all.ear!/app.war!/WEB-INF/lib/log4j-core-2.14.1.jar"]
    assert (inner.depth, inner.file, inner.version) == (2, "/srv/all.ear", "2.14.1")
    assert inner.sha256 == hashlib.sha256(LOG4J).hexdigest()
    assert inner.size == len(LOG4J)


def test_a_shaded_archive_tells_what_is_in_it():
    shaded = jar(
        dict(
            [
                pom("com.example", "app", "1.0"),
                pom("org.apache.logging.log4j", "log4j-core", "2.14.1"),
                pom("com.example", "app-core", "1.0"),
            ]
        )
    )
    rows, _ = run({"/srv/app-core-1.0-all.jar": shaded, "/srv/renamed.jar": shaded})
    assert rows["/srv/app-core-1.0-all.jar"].name == "app-core"
    assert "org.apache.logging.log4j:log4j-core:2.14.1" in rows["/srv/renamed.jar"].artifacts
    assert (rows["/srv/renamed.jar"].name, rows["/srv/renamed.jar"].version) == ("renamed", "")


@pytest.mark.parametrize(
    ("path", "manifest", "expected"),
    [
        ("/a/guava-31.1-jre.jar", "", ("", "guava", "31.1-jre", "file name")),
        ("/a/tool.jar", "Implementation-Version: 4.2\n", ("", "tool", "4.2", "manifest")),
        ("/a/tool.jar", "Bundle-Version: 4.3\nX: y\n", ("", "tool", "4.3", "manifest")),
        ("/a/tool.jar", "", ("", "tool", "", "file name")),
        (
            "/r/.m2/repository/org/slf4j/slf4j-api/2.0.7/slf4j-api-2.0.7.jar",
            "",
            ("org.slf4j", "slf4j-api", "2.0.7", "repository"),
        ),
        (
            "/usr/share/maven-repo/junit/junit/4.x/junit-4.x.jar",
            "",
            ("junit", "junit", "4.x", "repository"),
        ),
    ],
)
def test_identity_without_a_pom(path, manifest, expected):
    rows, _ = run({path: jar({"META-INF/MANIFEST.MF": manifest})})
    row = rows[path]
    assert (row.group, row.name, row.version, row.evidence) == expected
    assert bool(row.purl) is bool(row.group)


def test_owner_is_the_package_of_the_file_on_disk():
    rows, _ = run(
        {
            "/usr/share/java/a.jar": jar({"b.jar": LOG4J}),
            "/var/lib/dpkg/status": "Package: liba-java\nVersion: 1\nArchitecture: all\n",
            "/var/lib/dpkg/info/liba-java.list": "/usr/share/java/a.jar\n",
        }
    )
    assert {row.owner for row in rows.values()} == {"dpkg\x1fliba-java\x1fall\x1f"}


def test_what_is_no_archive_still_has_a_row_and_a_problem():
    rows, problems = run({"/a/x-1.0.jar": b"not a zip", "/a/y.jar": LOG4J[:-30], "/a/z.jar": b""})
    assert rows["/a/x-1.0.jar"].version == "1.0"
    assert rows["/a/x-1.0.jar"].sha256 == hashlib.sha256(b"not a zip").hexdigest()
    assert len(problems) == 3


def test_an_unreadable_archive_is_told():
    rows, problems = run({"/a/x.jar": LOG4J, "/a/y.jar": LOG4J}, denied=["/a/x.jar"])
    assert list(rows) == ["/a/y.jar"]
    assert problems[0].where == "/a/x.jar"


def test_deeper_than_the_limit_is_told():
    data = LOG4J
    for _ in range(13):
        data = jar({"n.jar": data})
    rows, problems = run({"/a/x.jar": data})
    assert max(row.depth for row in rows.values()) == module.MAX_DEPTH
    assert "nested more than 10 deep" in problems[0].what


@pytest.mark.parametrize("stored", [True, False])
def test_bombs_are_bounded_and_told(monkeypatch, stored):
    monkeypatch.setattr(module, "MAX_HELD", 100_000)
    monkeypatch.setattr(module, "MAX_WORK", 150_000)
    bomb = jar({"big.jar": b"\0" * 1_000_000, "log4j-core-2.14.1.jar": LOG4J}, stored=stored)
    rows, problems = run({"/a/bomb.jar": bomb})
    assert "/a/bomb.jar" in rows
    assert "/a/bomb.jar!/big.jar" not in rows
    assert problems


def test_many_copies_of_an_archive_cost_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(module, "MAX_WORK", 10 * len(LOG4J))
    quine = jar({f"c{i}.jar": LOG4J for i in range(50)})
    rows, problems = run({"/a/x.jar": quine})
    assert len(rows) <= 12
    assert len(problems) >= 38


def test_an_archive_inside_of_itself_ends():
    # A stored entry whose offset points at the archive's own start.
    inner = jar({"self.jar": b"x"}, stored=True)
    looped = bytearray(inner)
    at = looped.rindex(b"PK\x01\x02")
    looped[at + 20 : at + 24] = len(inner).to_bytes(4, "little")
    rows, _ = run({"/a/x.jar": bytes(looped)})
    assert 1 <= len(rows) <= module.MAX_DEPTH + 1


def test_the_number_of_archives_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_ARCHIVES", 3)
    rows, problems = run({f"/a/{i}.jar": LOG4J for i in range(6)})
    assert len(rows) == 3
    assert "more than 3" in problems[-1].what


def test_a_manifest_joins_continuation_lines_and_stops_at_its_first_section():
    data = b"Main-Class: org.example.\r\n Main\r\nX: 1\r\n\r\nName: a\r\nMain-Class: no\r\n"
    assert parse_manifest(data) == {"Main-Class": "org.example.Main", "X": "1"}


@given(st.binary(max_size=300))
def test_any_bytes_are_properties_and_manifests(data):
    parse_pom(data)
    parse_manifest(data)


def test_a_users_sparse_terabyte_is_not_hashed(tmp_path):
    path = tmp_path / "home/eve/x.jar"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    notes = Notes()
    with RootHost(str(tmp_path)) as host:
        (row,) = collect(host, notes)
    assert (row.path, row.size, row.sha256) == ("/home/eve/x.jar", 1 << 40, "")
    assert any("not hashed" in p.what for p in notes.problems)


def test_one_user_cannot_use_up_the_work_of_all(monkeypatch):
    monkeypatch.setattr(module, "MAX_USER_WORK", 2 * len(LOG4J))
    many = {f"/home/eve/{n}.jar": Node(LOG4J, uid=1000) for n in range(5)}
    rows, problems = run({**many, "/opt/log4j-core-2.14.1.jar": LOG4J})
    assert [p for p, r in rows.items() if r.sha256] == [
        "/home/eve/0.jar",
        "/home/eve/1.jar",
        "/opt/log4j-core-2.14.1.jar",
    ]
    assert [p.where for p in problems] == [f"/home/eve/{n}.jar" for n in (2, 3, 4)]
    assert all("uid 1000" in p.what for p in problems)
