"""The relation graph, with the collectors' own row types."""

from hauberk.assets.container_container import Container
from hauberk.assets.container_image import ContainerImage
from hauberk.assets.network_connection import Connection
from hauberk.assets.network_listening_port import ListeningPort
from hauberk.assets.persistence_service import Service
from hauberk.assets.runtime_library import Library
from hauberk.assets.runtime_process import Process
from hauberk.assets.software_java_archive import JavaArchive
from hauberk.assets.software_language_package import LanguagePackage
from hauberk.assets.software_os_package import OsPackage
from hauberk.engines.inventory.join import paths, relations

CID = "a" * 64
INIT = Process(pid=1, start_ns=10, name="systemd", exe="/usr/lib/systemd/systemd")
NGINX = Process(
    pid=100,
    start_ns=500,
    ppid=1,
    name="nginx",
    exe="/usr/sbin/nginx",
    cgroup="/system.slice/nginx.service",
)
REDIS = Process(pid=200, start_ns=600, ppid=1, name="redis", exe="/usr/bin/redis", container=CID)
JAVA = Process(
    pid=300,
    start_ns=700,
    ppid=1,
    name="java",
    exe="/usr/bin/java",
    argv=[
        "java",
        "-javaagent:/opt/agent.jar=x",
        "-cp",
        "/opt/a.jar:/opt/b.jar",
        "-jar",
        "/opt/app.war",
    ],
)
PACKAGE = OsPackage(manager="dpkg", name="nginx-core", version="1.22", arch="amd64")
PORT = ListeningPort(protocol="tcp", address="0.0.0.0", port=80, pid=100, start_ns=500)
CONN = Connection(
    protocol="tcp",
    local_ip="10.0.0.1",
    local_port=80,
    remote_ip="10.0.0.2",
    remote_port=5,
    pid=100,
    start_ns=500,
)
BOX = Container(
    id=CID,
    name="cache",
    runtime="docker",
    image="redis:7",
    image_id="sha256:1",
    state="running",
    ports=["0.0.0.0:6380->6379/tcp", "127.0.0.1:9000->9000/tcp", "6379/tcp"],
)
IMAGE = ContainerImage(id="sha256:1", runtime="docker", tags=["redis:7"])
LIB = Library(path="/usr/lib/libssl.so.3", pids=["100", "999"])


def edges(snapshot, owners=None):
    return {
        (r.kind, r.src_subclass, r.src_key, r.dst_subclass, r.dst_key)
        for r in relations(snapshot, owners or {})
    }


def test_processes_have_parents_but_not_younger_ones():
    reused = Process(pid=50, start_ns=9_000, name="young")
    orphan = Process(pid=60, start_ns=100, ppid=50, name="old")
    found = edges({"runtime.process": [INIT, NGINX, reused, orphan]})
    assert found == {("parent_of", "runtime.process", INIT.key(), "runtime.process", NGINX.key())}


def test_sockets_belong_to_the_process_of_that_start():
    stale = ListeningPort(protocol="tcp", address="::", port=81, pid=100, start_ns=1)
    found = edges(
        {
            "runtime.process": [NGINX],
            "network.listening_port": [PORT, stale],
            "network.connection": [CONN],
        }
    )
    assert found == {
        ("listens", "runtime.process", NGINX.key(), "network.listening_port", PORT.key()),
        ("connects", "runtime.process", NGINX.key(), "network.connection", CONN.key()),
    }


def test_packages_own_processes_libraries_and_archives_outside_of_containers():
    owned = LanguagePackage(
        ecosystem="pypi", name="x", location="/a", path="/a/x", owner=PACKAGE.key()
    )
    inside = Library(path="/usr/lib/libssl.so.3", container=CID, pids=[])
    snapshot = {
        "runtime.process": [NGINX, REDIS],
        "runtime.library": [LIB, inside],
        "software.os_package": [PACKAGE],
        "software.language_package": [owned],
    }
    owners = dict.fromkeys(["/usr/sbin/nginx", "/usr/bin/redis", LIB.path], PACKAGE.key())
    found = {e for e in edges(snapshot, owners) if e[0] == "owns"}
    assert {e[4] for e in found} == {NGINX.key(), LIB.key(), owned.key()}


def test_an_owner_that_is_no_row_gives_no_edge():
    assert edges({"runtime.process": [NGINX]}, {"/usr/sbin/nginx": "dpkg\x1fgone\x1f\x1f"}) == set()


def test_processes_load_libraries():
    found = edges({"runtime.process": [NGINX], "runtime.library": [LIB]})
    assert found == {("loads", "runtime.process", NGINX.key(), "runtime.library", LIB.key())}


def test_a_jvm_loads_its_class_path_and_what_is_inside():
    archives = [
        JavaArchive(path=p, file=p.partition("!")[0])
        for p in (
            "/opt/a.jar",
            "/opt/app.war",
            "/opt/app.war!/lib/x.jar",
            "/opt/agent.jar",
            "/opt/no.jar",
        )
    ]
    found = edges({"runtime.process": [JAVA], "software.java_archive": archives})
    assert {e[4] for e in found} == {a.path for a in archives[:3]}


def test_services_own_the_processes_of_their_control_group():
    unit = Service(scope="system", name="nginx.service")
    other = Service(scope="user", name="nginx.service")
    found = edges({"runtime.process": [NGINX, INIT], "persistence.service": [unit, other]})
    assert ("owns", "persistence.service", unit.key(), "runtime.process", NGINX.key()) in found
    assert len([e for e in found if e[0] == "owns"]) == 1


def test_containers_have_processes_images_and_ports():
    proxy = ListeningPort(protocol="tcp", address="0.0.0.0", port=6380, pid=1, start_ns=1)
    elsewhere = ListeningPort(protocol="tcp", address="192.0.2.1", port=9000)
    inside = ListeningPort(protocol="tcp", address="0.0.0.0", port=6379, container=CID, pid=200)
    found = edges(
        {
            "runtime.process": [REDIS],
            "container.container": [BOX],
            "container.image": [IMAGE],
            "network.listening_port": [proxy, elsewhere, inside],
        }
    )
    assert found == {
        ("runs_on", "runtime.process", REDIS.key(), "container.container", BOX.key()),
        ("built_from", "container.container", BOX.key(), "container.image", IMAGE.key()),
        ("exposes", "container.container", BOX.key(), "network.listening_port", proxy.key()),
        ("exposes", "container.container", BOX.key(), "network.listening_port", inside.key()),
    }


def test_an_image_is_found_by_name_where_the_id_is_not_known():
    box = Container(id="b" * 64, name="x", runtime="podman", image="redis")
    image = ContainerImage(id="sha256:2", runtime="podman", tags=["redis:latest"])
    found = edges({"container.container": [box], "container.image": [image]})
    assert len(found) == 1


def test_order_of_rows_changes_nothing_and_edges_are_unique():
    snapshot = {
        "runtime.process": [INIT, NGINX, REDIS, JAVA],
        "network.listening_port": [PORT],
        "container.container": [BOX],
        "runtime.library": [LIB, LIB],
    }
    once = relations(snapshot, {})
    again = relations({k: list(reversed(v)) for k, v in reversed(snapshot.items())}, {})
    assert once == again
    assert len(edges(snapshot)) == len(once)
    assert relations({}, {}) == []


def test_paths_to_ask_owners_for_leave_containers_out():
    snapshot = {
        "runtime.process": [INIT, NGINX, REDIS, Process(pid=2, start_ns=1)],
        "runtime.library": [LIB],
    }
    assert paths(snapshot) == [INIT.exe, NGINX.exe, LIB.path]
