"""application.middleware: caches, queues, coordination, running and installed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hauberk.ports import Collector, Host, Notes

from ._config_apps import App, Application, rows
from ._config_stores import REDIS, VALKEY

APPS: tuple[App, ...] = (
    REDIS,
    VALKEY,
    App(
        name="Memcached",
        exes=r"memcached",
        files=("/usr/bin/memcached", "/usr/local/bin/memcached"),
        version=rb"memcached (\d{1,2}\.\d{1,3}\.\d{1,3})",
        packages=("memcached",),
        configs=("/etc/memcached.conf", "/etc/sysconfig/memcached"),
        options={"-l": "address", "-p": "port", "-u": "user", "--port": "port",
                 "--listen": "address"},
        keys={"-l": "address", "-p": "port", "-u": "user"},
        port="11211",
    ),
    App(
        name="RabbitMQ",
        exes=r"beam(\.smp)?",
        marks=("rabbit",),
        files=("/usr/lib/rabbitmq/lib/rabbitmq_server-*", "/opt/rabbitmq/lib/rabbitmq_server-*",
               "/opt/rabbitmq_server-*"),
        path_version=r"rabbitmq_server-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("rabbitmq-server",),
        configs=("/etc/rabbitmq/rabbitmq.conf", "/etc/rabbitmq/rabbitmq.config"),
        keys={"listeners.tcp.default": "port", "listeners.tcp.1": "address",
              "listeners.tcp.local": "address"},
        port="5672",
        data_dir="/var/lib/rabbitmq/mnesia",
    ),
    App(
        name="Kafka",
        exes=r"java",
        marks=("kafka.Kafka",),
        files=("/opt/kafka*/libs/kafka_[0-9]*-[0-9]*.[0-9].jar",
               "/opt/kafka*/libs/kafka-server-[0-9]*.jar",
               "/usr/share/java/kafka/kafka_[0-9]*-[0-9]*.[0-9].jar"),
        path_version=r"(?:kafka_\d+(?:\.\d{1,6})+|kafka-server)-(\d{1,6}\.\d+(?:\.\d{1,6})?)",
        configs=("/opt/kafka*/config/server.properties", "/etc/kafka/server.properties",
                 "/opt/kafka*/config/kraft/server.properties"),
        keys={"log.dirs": "data", "listeners": "address", "port": "port"},
        port="9092",
    ),
    App(
        name="ZooKeeper",
        exes=r"java",
        marks=("org.apache.zookeeper.server",),
        files=("/usr/share/java/zookeeper-[0-9]*.jar", "/opt/*zookeeper*/lib/zookeeper-[0-9]*.jar"),
        path_version=r"zookeeper-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("zookeeper",),
        configs=("/etc/zookeeper/conf/zoo.cfg", "/opt/*zookeeper*/conf/zoo.cfg"),
        keys={"clientport": "port", "clientportaddress": "address", "datadir": "data"},
        port="2181",
    ),
    App(
        name="etcd",
        exes=r"etcd",
        files=("/usr/bin/etcd", "/usr/local/bin/etcd", "/opt/etcd*/etcd"),
        packages=("etcd-server", "etcd"),
        configs=("/etc/etcd/etcd.conf.yml", "/etc/etcd/etcd.conf", "/etc/default/etcd"),
        options={"--config-file": "config", "--data-dir": "data",
                 "--listen-client-urls": "address"},
        keys={"data-dir": "data", "listen-client-urls": "address", "etcd_data_dir": "data",
              "etcd_listen_client_urls": "address"},
        port="2379",
    ),
    App(
        name="ActiveMQ",
        exes=r"java",
        marks=("activemq.jar",),
        files=("/opt/*activemq*/lib/activemq-broker-[0-9]*.jar",
               "/usr/share/activemq/lib/activemq-broker-[0-9]*.jar"),
        path_version=r"activemq(?:-broker)?-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        packages=("activemq",),
        configs=("/opt/*activemq*/conf/activemq.xml",),
        port="61616",
    ),
    App(
        name="RocketMQ",
        exes=r"java",
        marks=("org.apache.rocketmq.",),
        files=("/opt/*rocketmq*/lib/rocketmq-broker-[0-9]*.jar",),
        path_version=r"rocketmq(?:-broker|-all)?-(\d{1,6}\.\d{1,6}\.\d{1,6})",
        configs=("/opt/*rocketmq*/conf/broker.conf",),
        keys={"listenport": "port", "storepathrootdir": "data"},
        port="10911",
    ),
    App(
        name="NATS",
        exes=r"nats-server",
        files=("/usr/bin/nats-server", "/usr/sbin/nats-server", "/usr/local/bin/nats-server"),
        packages=("nats-server",),
        configs=("/etc/nats-server.conf", "/etc/nats/nats-server.conf"),
        options={"-c": "config", "--config": "config", "-p": "port", "--port": "port",
                 "-a": "address", "--addr": "address", "-sd": "data", "--store_dir": "data"},
        keys={"port": "port", "host": "address", "listen": "address"},
        port="4222",
    ),
    App(
        name="Mosquitto",
        exes=r"mosquitto",
        version=rb"\x00(\d{1,2}\.\d{1,3}\.\d{1,3})\x00mosquitto version",
        near=b"\x00mosquitto version",
        files=("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"),
        packages=("mosquitto",),
        configs=("/etc/mosquitto/mosquitto.conf",),
        options={"-c": "config", "-p": "port"},
        keys={"listener": "port", "port": "port", "bind_address": "address",
              "persistence_location": "data"},
        port="1883",
    ),
    App(
        name="Consul",
        exes=r"consul",
        files=("/usr/bin/consul", "/usr/local/bin/consul"),
        packages=("consul",),
        configs=("/etc/consul.d/consul.hcl",),
        options={"-data-dir": "data", "-client": "address", "-http-port": "port"},
        keys={"data_dir": "data", "client_addr": "address"},
        port="8500",
    ),
    App(
        name="MinIO",
        exes=r"minio",
        files=("/usr/bin/minio", "/usr/local/bin/minio"),
        packages=("minio",),
        configs=("/etc/default/minio",),
        options={"--address": "address"},
        port="9000",
    ),
)  # fmt: skip


class Middleware(Application, frozen=True, kw_only=True):
    """One cache, queue or coordination service, or an installed one that does not run."""


def collect(host: Host, notes: Notes) -> Iterator[Middleware]:
    """Running instances first. Works on files alone: `running` is None then."""
    for values in rows(host, notes, APPS):
        yield msgspec.convert(values, Middleware)


COLLECTOR = Collector("application.middleware", Middleware, collect, every_s=3600)
