"""application.database: database servers, running and installed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from hauberk.ports import Collector, Host, Notes

from . import _config_binary
from ._config_apps import App, Application, rows
from ._config_stores import REDIS, VALKEY

_MARIADB = re.compile(rb"(\d{1,6}\.\d{1,6}\.\d{1,6})-MariaDB")
APPS: tuple[App, ...] = (
    App(
        name="MariaDB",
        exes=r"mariadbd",
        version=_MARIADB.pattern,
        near=b"-MariaDB",
        files=("/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/bin/mariadbd"),
        packages=("mariadb-server-core", "mariadb-server-core-10.6", "mariadb-server", "mariadb"),
        configs=("/etc/mysql/my.cnf", "/etc/my.cnf", "/etc/mysql/conf.d/*.cnf",
                 "/etc/mysql/mariadb.conf.d/*.cnf", "/etc/my.cnf.d/*.cnf"),
        options={"--defaults-file": "config", "--datadir": "data", "--port": "port",
                 "--bind-address": "address", "--user": "user"},
        keys={"datadir": "data", "port": "port", "bind-address": "address",
              "bind_address": "address", "user": "user"},
        sections=("mysqld", "mariadb", "mariadbd", "server"),
        port="3306",
        data_dir="/var/lib/mysql",
    ),
    App(
        name="MySQL",
        exes=r"mysqld",
        version=rb"/mysql-(\d{1,6}\.\d{1,6}\.\d{1,6})/",
        files=("/usr/sbin/mysqld", "/usr/libexec/mysqld", "/usr/local/mysql/bin/mysqld"),
        packages=("mysql-server-core-8.0", "mysql-community-server-core", "mysql-server"),
        configs=("/etc/mysql/my.cnf", "/etc/my.cnf", "/etc/mysql/conf.d/*.cnf",
                 "/etc/mysql/mysql.conf.d/*.cnf", "/etc/my.cnf.d/*.cnf"),
        options={"--defaults-file": "config", "--datadir": "data", "--port": "port",
                 "--bind-address": "address", "--user": "user"},
        keys={"datadir": "data", "port": "port", "bind-address": "address",
              "bind_address": "address", "user": "user"},
        sections=("mysqld", "server"),
        port="3306",
        data_dir="/var/lib/mysql",
    ),
    App(
        name="PostgreSQL",
        exes=r"postgres|postmaster",
        version=rb"PostgreSQL (\d{1,6}(?:\.\d{1,6}){1,3})(?: \(| on )",
        files=("/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres",
               "/usr/bin/postgres", "/usr/local/bin/postgres", "/usr/local/pgsql/bin/postgres",
               "/usr/libexec/postgresql*/postgres"),
        packages=(*(f"postgresql-{n}" for n in range(18, 10, -1)), "postgresql"),
        configs=("/etc/postgresql/*/*/postgresql.conf", "/var/lib/pgsql/data/postgresql.conf",
                 "/var/lib/postgresql/data/postgresql.conf",
                 "/var/lib/pgsql/*/data/postgresql.conf"),
        options={"config_file": "config", "--config_file": "config", "--config-file": "config",
                 "-D": "data", "-p": "port", "-h": "address"},
        keys={"data_directory": "data", "port": "port", "listen_addresses": "address"},
        data_config="postgresql.conf",
        port="5432",
        address="localhost",
    ),
    App(
        name="MongoDB",
        exes=r"mongod|mongos",
        files=("/usr/bin/mongod", "/usr/local/bin/mongod", "/opt/mongodb*/bin/mongod"),
        version=rb"mongo(?:d|db)[ -]v?(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("mongodb-org-server", "mongodb-server-core", "mongodb-server", "mongodb"),
        configs=("/etc/mongod.conf", "/etc/mongodb.conf", "/etc/mongod.conf.orig"),
        options={"--config": "config", "-f": "config", "--dbpath": "data", "--port": "port",
                 "--bind_ip": "address"},
        keys={"dbpath": "data", "port": "port", "bindip": "address", "bind_ip": "address"},
        port="27017",
        address="127.0.0.1",
        data_dir="/data/db",
    ),
    REDIS,
    VALKEY,
    App(
        name="Elasticsearch",
        exes=r"java",
        marks=("org.elasticsearch.",),
        files=("/usr/share/elasticsearch/lib/elasticsearch-[0-9]*.jar",
               "/opt/elasticsearch*/lib/elasticsearch-[0-9]*.jar"),
        path_version=r"elasticsearch-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("elasticsearch",),
        configs=("/etc/elasticsearch/elasticsearch.yml",
                 "/usr/share/elasticsearch/config/elasticsearch.yml",
                 "/opt/elasticsearch*/config/elasticsearch.yml"),
        options={"-Des.path.data": "data", "-Ehttp.port": "port"},
        keys={"path.data": "data", "http.port": "port", "network.host": "address",
              "http.host": "address"},
        port="9200",
        address="localhost",
    ),
    App(
        name="OpenSearch",
        exes=r"java",
        marks=("org.opensearch.",),
        files=("/usr/share/opensearch/lib/opensearch-[0-9]*.jar",
               "/opt/opensearch*/lib/opensearch-[0-9]*.jar"),
        path_version=r"opensearch-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("opensearch",),
        configs=("/etc/opensearch/opensearch.yml", "/usr/share/opensearch/config/opensearch.yml"),
        keys={"path.data": "data", "http.port": "port", "network.host": "address"},
        port="9200",
        address="localhost",
    ),
    App(
        name="ClickHouse",
        exes=r"clickhouse(-server)?",
        marks=("server",),
        files=("/usr/bin/clickhouse-server", "/usr/bin/clickhouse"),
        packages=("clickhouse-server",),
        configs=("/etc/clickhouse-server/config.xml",),
        options={"--config-file": "config", "-C": "config"},
        port="8123",
        data_dir="/var/lib/clickhouse",
    ),
    App(
        name="Cassandra",
        exes=r"java",
        marks=("org.apache.cassandra.service.CassandraDaemon",),
        files=("/usr/share/cassandra/apache-cassandra-[0-9]*.jar",
               "/opt/*cassandra*/lib/apache-cassandra-[0-9]*.jar"),
        path_version=r"apache-cassandra-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("cassandra",),
        configs=("/etc/cassandra/cassandra.yaml", "/opt/*cassandra*/conf/cassandra.yaml"),
        keys={"native_transport_port": "port", "rpc_address": "address"},
        port="9042",
    ),
    App(
        name="InfluxDB",
        exes=r"influxd",
        files=("/usr/bin/influxd", "/usr/local/bin/influxd"),
        packages=("influxdb", "influxdb2"),
        configs=("/etc/influxdb/influxdb.conf", "/etc/influxdb/config.toml"),
        options={"-config": "config", "--bolt-path": "data"},
        port="8086",
    ),
)  # fmt: skip


class Database(Application, frozen=True, kw_only=True):
    """One database server instance, or an installed one that does not run."""


def collect(host: Host, notes: Notes) -> Iterator[Database]:
    """Running instances first. Works on files alone: `running` is None then."""
    for values in rows(host, notes, APPS):
        row = msgspec.convert(values, Database)
        # Before 10.5 MariaDB's server was called mysqld; no text of MySQL holds the other name.
        if row.name == "MySQL" and not row.version:
            path = f"/proc/{row.pid}/exe" if row.pid else row.exe
            version = _config_binary.find(host, path, _MARIADB, notes, near=b"-MariaDB")
            if version:
                row = msgspec.structs.replace(row, name="MariaDB", version=version)
        yield row


COLLECTOR = Collector("application.database", Database, collect, every_s=3600)
