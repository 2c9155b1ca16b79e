import os
import re
import shutil
import subprocess
import time

import pytest
from procfs import Procfs, run

from hauberk.assets.application_middleware import APPS, COLLECTOR
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node


@pytest.mark.parametrize(
    ("exe", "argv", "name", "version", "listen"),
    [
        ("/usr/bin/memcached", ["/usr/bin/memcached", "-m", "64", "-p", "11212", "-l", "127.0.0.1"],
         "Memcached", "", ["127.0.0.1:11212"]),
        ("/usr/lib/erlang/erts-13/bin/beam.smp",
         ["beam.smp", "-pa", "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/ebin", "-s", "rabbit", "boot"],
         "RabbitMQ", "3.10.8", ["*:5672"]),
        ("/usr/bin/java", ["java", "-cp", "/opt/kafka/libs/kafka_2.13-3.6.0.jar", "kafka.Kafka", "/opt/k.properties"],
         "Kafka", "3.6.0", ["PLAINTEXT://:9093"]),
        ("/usr/bin/java", ["java", "-cp", "/x/zookeeper-3.8.1.jar", "org.apache.zookeeper.server.quorum.QuorumPeerMain"],
         "ZooKeeper", "3.8.1", ["*:2181"]),
        ("/usr/bin/etcd", ["etcd", "--listen-client-urls", "http://127.0.0.1:2379"], "etcd", "", ["http://127.0.0.1:2379"]),
        ("/usr/bin/redis-server", ["redis-server", "*:6379"], "Redis", "", ["*:6379"]),
        ("/usr/bin/nats-server", ["nats-server", "-p", "4223"], "NATS", "", ["*:4223"]),
    ],
)  # fmt: skip
def test_each_is_known_by_its_process(exe, argv, name, version, listen):
    files = {"/opt/k.properties": "listeners=PLAINTEXT://:9093\nlog.dirs=/k\n"}
    (row,), problems = run(COLLECTOR, Procfs().add(10, exe=exe, argv=argv).host(files))
    assert problems == []
    assert (row.name, row.version, row.listen, row.running) == (name, version, listen, True)


@pytest.mark.parametrize(
    ("exe", "argv"),
    [("/usr/bin/beam.smp", ["beam.smp", "-s", "ejabberd"]), ("/bin/sh", ["sh", "kafka.Kafka"]),
     ("/usr/bin/java", ["java", "Main"]), ("/usr/bin/etcdctl", ["etcdctl"])],
)  # fmt: skip
def test_look_alikes_are_not(exe, argv):
    assert run(COLLECTOR, Procfs().add(10, exe=exe, argv=argv).host()) == ([], [])


def test_files_only():
    files = {
        "/opt/kafka/libs/kafka_2.13-3.6.0.jar": "",
        "/opt/kafka/config/server.properties": "log.dirs=/k\nlisteners=PLAINTEXT://h:1\n",
        "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/ebin/x": "",
        "/usr/bin/memcached": Node(b"x memcached 1.6.18\x00", mode=0o755),
        "/etc/memcached.conf": "# c\n-m 64\n-p 11211\n-u memcache\n-l ::1\n",
    }
    rows, problems = run(COLLECTOR, DictHost(files, kind="root"))
    assert problems == []
    assert [(r.name, r.version, r.listen, r.user) for r in rows] == [
        ("Memcached", "1.6.18", ["[::1]:11211"], "memcache"),
        ("RabbitMQ", "3.10.8", ["*:5672"], ""),
        ("Kafka", "3.6.0", ["PLAINTEXT://h:1"], ""),
    ]


def test_hostile():
    raw = b"\xff\x00=\n" * 50_000
    files = dict.fromkeys(("/etc/memcached.conf", "/etc/etcd/etcd.conf"), raw)
    files |= {p: Node(raw, mode=0o755) for p in ("/usr/bin/memcached", "/usr/bin/etcd")}
    rows, problems = run(COLLECTOR, DictHost(files))
    assert {r.name for r in rows} == {"Memcached", "etcd"}
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


def test_live_process_by_its_executable(tmp_path):
    # A program of that name, not the real one: what is tested is the way to its process.
    program = tmp_path / "memcached"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o755)
    with subprocess.Popen([str(program), "60"]) as child:
        try:
            while os.readlink(f"/proc/{child.pid}/exe") != str(program):
                time.sleep(0.01)
            rows, _ = run(COLLECTOR, LiveHost())
        finally:
            child.kill()
    row = next(r for r in rows if r.pid == child.pid)
    assert (row.name, row.exe, row.running) == ("Memcached", str(program), True)
