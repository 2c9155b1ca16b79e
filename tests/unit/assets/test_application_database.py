import os
import re
import shutil
import subprocess

import pytest
from procfs import CONTAINER, Procfs, run

from hauberk.assets.application_database import APPS, COLLECTOR
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node


def one(exe, argv, files=None, **kw):
    host = Procfs().add(10, b"x", exe=exe, argv=argv, **kw).host(files or {})
    (row,), problems = run(COLLECTOR, host)
    assert problems == []
    return row


def test_postgresql():
    row = one(
        "/usr/lib/postgresql/15/bin/postgres",
        ["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/postgresql/15/main", "-c",
         "config_file=/etc/postgresql/15/main/postgresql.conf"],
        {"/etc/postgresql/15/main/postgresql.conf": "port = 5433\t# x\nlisten_addresses = '*'\n"},
    )  # fmt: skip
    assert (row.name, row.data_dir, row.listen) == (
        "PostgreSQL",
        "/var/lib/postgresql/15/main",
        ["*:5433"],
    )
    assert row.config == "/etc/postgresql/15/main/postgresql.conf"


def test_postgresql_configured_in_its_data_folder():
    files = {
        "/pg/postgresql.conf": "port = 7\n",
        "/etc/postgresql/15/main/postgresql.conf": "port = 8\n",
    }
    row = one("/usr/bin/postgres", ["postgres", "-D", "/pg"], files)
    assert (row.config, row.listen) == ("/pg/postgresql.conf", ["localhost:7"])


def test_mariadb_reads_its_sections():
    files = {
        "/etc/mysql/my.cnf": "[client]\nport=1\n",
        "/etc/mysql/mariadb.conf.d/50.cnf": "[mysqld]\nbind-address = 127.0.0.1\ndatadir=/db\nport=3307\n",
    }
    row = one("/usr/sbin/mariadbd", ["/usr/sbin/mariadbd"], files)
    assert (row.name, row.listen, row.data_dir) == ("MariaDB", ["127.0.0.1:3307"], "/db")


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        (b"x 10.3.39-MariaDB-0 y", "MariaDB", "10.3.39"),
        (b"/build/mysql-8.0.36/sql/x.cc", "MySQL", "8.0.36"),
        (b"nothing", "MySQL", ""),
    ],
)
def test_old_mariadb_is_told_from_mysql(text, name, version):
    (row,), _ = run(COLLECTOR, DictHost({"/usr/sbin/mysqld": Node(text, mode=0o755)}))
    assert (row.name, row.version) == (name, version)


def test_compatibility_link_is_not_another_server():
    files = {"/usr/sbin/mariadbd": Node(b"10.11.1-MariaDB", mode=0o755)}
    rows, _ = run(COLLECTOR, DictHost(files, links={"/usr/sbin/mysqld": "mariadbd"}))
    assert [(r.name, r.version) for r in rows] == [("MariaDB", "10.11.1")]


def test_redis_binds_optionally():
    row = one(
        "/usr/bin/redis-server",
        ["redis-server"],
        {"/etc/redis/redis.conf": "bind 127.0.0.1 -::1\n"},
    )
    assert row.listen == ["127.0.0.1:6379", "[::1]:6379"]


def test_redis_with_a_rewritten_title():
    row = one(
        "/usr/bin/redis-check-rdb",
        ["/usr/bin/redis-server 127.0.0.1:6380", ""],
        {"/etc/redis/redis.conf": "dir /var/lib/redis\n"},
    )
    assert (row.name, row.listen, row.data_dir) == ("Redis", ["127.0.0.1:6380"], "/var/lib/redis")


def test_mongodb_yaml():
    files = {
        "/etc/mongod.conf": "storage:\n  dbPath: /m\nnet:\n  port: 27018\n  bindIp: 127.0.0.1,10.0.0.1\n"
    }
    row = one("/usr/bin/mongod", ["/usr/bin/mongod", "--config", "/etc/mongod.conf"], files)
    assert (row.listen, row.data_dir) == (["127.0.0.1:27018", "10.0.0.1:27018"], "/m")


def test_elasticsearch_in_a_container():
    row = one(
        "/usr/share/elasticsearch/jdk/bin/java",
        ["java", "-cp", "/usr/share/elasticsearch/lib/elasticsearch-8.11.1.jar", "org.elasticsearch.bootstrap.Elasticsearch"],
        cgroup=f"0::/docker/{CONTAINER}\n",
    )  # fmt: skip
    assert (row.name, row.version, row.container, row.listen) == (
        "Elasticsearch",
        "8.11.1",
        CONTAINER,
        ["localhost:9200"],
    )


def test_files_only():
    files = {
        "/usr/lib/postgresql/15/bin/postgres": Node(
            b"PostgreSQL 9.1 x PostgreSQL 15.4 (Debian)", mode=0o755
        ),
        "/usr/share/elasticsearch/lib/elasticsearch-7.17.0.jar": "",
        "/usr/share/elasticsearch/lib/elasticsearch-core-7.17.0.jar": "",
    }
    rows, problems = run(COLLECTOR, DictHost(files, kind="root"))
    assert problems == []
    assert [(r.name, r.version, r.running) for r in rows] == [
        ("PostgreSQL", "15.4", None),
        ("Elasticsearch", "7.17.0", None),
    ]


@pytest.mark.parametrize(
    ("exe", "argv"),
    [
        ("/usr/bin/psql", ["psql"]),
        ("/usr/bin/redis-cli", ["redis-cli"]),
        ("/bin/sh", ["sh", "-c", "mysqld"]),
    ],
)
def test_clients_are_not_servers(exe, argv):
    assert run(COLLECTOR, Procfs().add(10, exe=exe, argv=argv).host()) == ([], [])


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 50_000,
        b"\x00",
        b"port=" * 100_000,
        b"port = " + b"9" * 100_000,
        b"[mysqld]\nport=\xff\n",
    ],
)
def test_hostile_configuration(raw):
    files = dict.fromkeys(("/etc/redis/redis.conf", "/etc/mongod.conf", "/etc/mysql/my.cnf"), raw)
    files |= {
        p: Node(raw, mode=0o755)
        for p in ("/usr/bin/redis-server", "/usr/bin/mongod", "/usr/sbin/mysqld")
    }
    rows, problems = run(COLLECTOR, DictHost(files))
    assert {r.name for r in rows} == {"Redis", "MongoDB", "MySQL"}
    assert problems == []


@pytest.mark.parametrize("app", APPS, ids=lambda a: a.name)
def test_descriptions_are_sound(app):
    assert app.exes
    assert not app.version or re.compile(app.version).groups >= 1
    assert not app.path_version or re.compile(app.path_version).groups == 1
    assert {*app.options.values(), *app.keys.values()} <= {
        "config",
        "data",
        "port",
        "address",
        "user",
    }
    assert all(k == k.lower() for k in app.keys)


POSTGRES = "/usr/lib/postgresql/15/bin/postgres"


@pytest.mark.skipif(not os.path.exists(POSTGRES), reason="needs an installed PostgreSQL 15")
def test_live_version_as_the_program_says_it():
    rows, _ = run(COLLECTOR, LiveHost())
    said = subprocess.check_output([POSTGRES, "--version"]).decode()
    row = next(r for r in rows if r.exe == POSTGRES)
    assert f"(PostgreSQL) {row.version} " in said + " "


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_live_redis(tmp_path):
    config = tmp_path / "r.conf"
    config.write_text(f"port 0\nunixsocket {tmp_path}/s\ndir {tmp_path}\n")
    with subprocess.Popen(["redis-server", str(config)], stdout=subprocess.DEVNULL) as child:
        try:
            rows, _ = run(COLLECTOR, LiveHost())
        finally:
            child.terminate()
    assert child.pid in {r.pid for r in rows}
