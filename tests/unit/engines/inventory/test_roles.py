"""Role tags: evidence, confidence, conflicts."""

import msgspec
import pytest

from hauberk.assets.container_container import Container
from hauberk.assets.hardware_firmware import Firmware
from hauberk.assets.network_listening_port import ListeningPort
from hauberk.assets.persistence_service import Service
from hauberk.assets.runtime_process import Process
from hauberk.assets.software_os_package import OsPackage
from hauberk.content.role import (
    Evidence,
    PackageEvidence,
    PortEvidence,
    ProcessEvidence,
    Role,
    RoleCases,
    RowEvidence,
)
from hauberk.engines.inventory.roles import tags
from hauberk.errors import PathDenied
from hauberk.schema.taxonomy import Title


def role(id_, *evidence, threshold=1, implies=(), excludes=()):
    return Role(
        id=id_,
        title=Title(id_, id_),
        category="web",
        threshold=threshold,
        evidence=evidence,
        implies=implies,
        excludes=excludes,
        tests=RoleCases(positive=[], negative=[]),
    )


def by_process(*names, weight=60, **kwargs):
    return Evidence(weight=weight, process=ProcessEvidence(name=list(names), **kwargs))


def process(name, exe="", argv=(), **kwargs):
    return Process(
        pid=kwargs.pop("pid", 7), start_ns=1, name=name, exe=exe, argv=list(argv), **kwargs
    )


def has(evidence, exists=None, **snapshot):
    rows = {key.replace("__", "."): value for key, value in snapshot.items()}
    found = tags(rows, [role("r", evidence)], exists=exists)
    return found[0].evidence if found else []


def test_a_process_is_known_by_task_executable_or_argument():
    assert has(by_process("nginx"), runtime__process=[process("nginx")]) == ["process nginx"]
    assert has(by_process("dockerd"), runtime__process=[process("x", "/usr/bin/dockerd")])
    assert has(
        by_process("postgres"), runtime__process=[process("x", "", ["/usr/lib/postgres", "-D"])]
    )
    assert has(by_process("php-fpm"), runtime__process=[process("x", "", ["php-fpm: master"])])
    assert not has(by_process("nginx"), runtime__process=[process("nginx-exporter")])


def test_a_name_that_the_kernel_cut_is_still_known():
    cut = process("kube-controller")
    assert has(by_process("kube-controller-manager"), runtime__process=[cut])


def test_containers_and_kernel_threads_are_not_the_machine():
    assert not has(by_process("nginx"), runtime__process=[process("nginx", container="a" * 64)])
    assert not has(by_process("nfsd"), runtime__process=[process("nfsd", kernel=True)])


def test_all_conditions_of_a_process_must_hold_at_once():
    wanted = Evidence(
        weight=50, process=ProcessEvidence(name=["java"], exe="^/usr/", argv=r"kafka\.Kafka")
    )
    assert has(wanted, runtime__process=[process("java", "/usr/bin/java", ["java", "kafka.Kafka"])])
    apart = [
        process("java", "/opt/java", ["java", "kafka.Kafka"]),
        process("java", "/usr/bin/java", ["java", "x"]),
        process("node", "/usr/bin/node", ["node", "kafka.Kafka"]),
    ]
    assert not has(wanted, runtime__process=apart)


def test_ports_by_number_protocol_and_owner():
    wanted = Evidence(weight=50, port=PortEvidence(udp=[53], process=["named"]))
    port = ListeningPort(protocol="udp", address="0.0.0.0", port=53, name="named")
    assert has(wanted, network__listening_port=[port]) == ["port udp/53 named"]
    for other in (
        ListeningPort(protocol="tcp", address="0.0.0.0", port=53, name="named"),
        ListeningPort(protocol="udp", address="0.0.0.0", port=54, name="named"),
        ListeningPort(protocol="udp", address="0.0.0.0", port=53, name="dnsmasq"),
        ListeningPort(protocol="udp", address="0.0.0.0", port=53, name="named", container="c"),
    ):
        assert not has(wanted, network__listening_port=[other])


def test_packages_by_manager_name_and_status():
    wanted = Evidence(weight=50, package=PackageEvidence(dpkg=["php*-fpm"], rpm=["php-fpm"]))
    php = OsPackage(manager="dpkg", name="php8.2-fpm", version="8.2", status="installed")
    assert has(wanted, software__os_package=[php]) == ["package dpkg php8.2-fpm 8.2"]
    for other in (
        msgspec.structs.replace(php, status="config-files"),
        msgspec.structs.replace(php, manager="rpm"),
        msgspec.structs.replace(php, name="php8.2-fpm-dbg"),
    ):
        assert not has(wanted, software__os_package=[other])


def test_units_that_are_switched_off_are_no_evidence():
    wanted = Evidence(weight=50, unit=["ssh.service"])
    on = Service(scope="system", name="ssh.service", state="enabled")
    assert has(wanted, persistence__service=[on]) == ["unit ssh.service"]
    off = msgspec.structs.replace(on, state="disabled")
    assert not has(wanted, persistence__service=[off])
    assert has(wanted, persistence__service=[msgspec.structs.replace(off, active=True)])


def test_paths_where_somebody_can_look():
    wanted = Evidence(weight=50, path=["/etc/a", "/etc/b"])
    assert has(wanted, exists={"/etc/b"}.__contains__) == ["path /etc/b"]
    assert not has(wanted, exists=None)

    def denied(path):
        raise PathDenied(path)

    assert not has(wanted, exists=denied)


def test_images_of_running_containers():
    wanted = Evidence(weight=50, image=[r"(^|/)redis(:|@|$)"])
    box = Container(
        id="c", name="c", runtime="docker", image="docker.io/library/redis:7", state="running"
    )
    assert has(wanted, container__container=[box]) == ["image docker.io/library/redis:7"]
    assert not has(wanted, container__container=[msgspec.structs.replace(box, state="exited")])
    assert not has(
        wanted, container__container=[msgspec.structs.replace(box, image="redis-exporter")]
    )


def test_any_text_column_of_any_row():
    wanted = Evidence(
        weight=50, row=RowEvidence(subclass="hardware.firmware", field="vendor", matches="^QEMU")
    )
    row = Firmware(component="system", vendor="QEMU")
    assert has(wanted, hardware__firmware=[row]) == ["hardware.firmware vendor QEMU"]
    assert not has(wanted, hardware__firmware=[Firmware(component="system", vendor="Dell")])


@pytest.mark.parametrize(
    ("weights", "confidence"),
    [((60,), 60), ((60, 50), 80), ((50, 60), 80), ((99, 99), 99), ((100, 1), 100), ((1,), 1)],
)
def test_confidence_is_the_doubt_that_is_left(weights, confidence):
    found = tags(
        {"runtime.process": [process("a"), process("a", pid=8)]},
        [role("r", *(by_process("a", weight=w) for w in weights))],
    )
    assert found[0].confidence == confidence


def test_what_is_only_installed_never_reads_like_what_runs():
    evidence = (
        Evidence(weight=99, package=PackageEvidence(dpkg=["redis-server"])),
        Evidence(weight=90, unit=["redis-server.service"]),
        Evidence(weight=90, path=["/etc/redis.conf"]),
    )
    snapshot = {
        "software.os_package": [OsPackage(manager="dpkg", name="redis-server", version="1")],
        "persistence.service": [
            Service(scope="system", name="redis-server.service", state="enabled")
        ],
    }
    exists = {"/etc/redis.conf"}.__contains__
    (still,) = tags(snapshot, [role("r", *evidence)], exists=exists)
    assert (still.confidence, len(still.evidence)) == (59, 3)
    snapshot["runtime.process"] = [process("a")]
    weak = by_process("a", weight=1)
    (running,) = tags(snapshot, [role("r", *evidence, weak)], exists=exists)
    assert running.confidence == 99


def test_below_the_threshold_is_no_tag():
    snapshot = {"runtime.process": [process("a")]}
    assert not tags(snapshot, [role("r", by_process("a", weight=49), threshold=50)])
    assert tags(snapshot, [role("r", by_process("a", weight=50), threshold=50)])


def run(*roles, names="abc"):
    snapshot = {"runtime.process": [process(n, pid=i) for i, n in enumerate(names)]}
    forward = [(t.role, t.confidence) for t in tags(snapshot, roles)]
    backward = [(t.role, t.confidence) for t in tags(snapshot, reversed(roles))]
    assert forward == backward
    return forward


def test_the_surer_of_two_that_exclude_each_other_stays():
    weak = role("x", by_process("a", weight=60), excludes=("y",))
    strong = role("y", by_process("b", weight=70))
    assert run(weak, strong) == [("y", 70)]
    assert run(weak, role("y", by_process("b", weight=50))) == [("x", 60)]


def test_a_tie_goes_by_id():
    assert run(role("y", by_process("a"), excludes=("x",)), role("x", by_process("b"))) == [
        ("x", 60)
    ]


def test_implied_roles_follow_through_chains_and_take_the_better_confidence():
    found = run(
        role("a", by_process("a", weight=90), implies=("b",)),
        role("b", by_process("b", weight=60), implies=("c",)),
        role("c", by_process("nobody")),
    )
    assert found == [("a", 90), ("b", 90), ("c", 90)]


def test_an_implied_role_that_conflicts_is_not_given():
    found = run(
        role("a", by_process("a", weight=90), implies=("c",)),
        role("b", by_process("b", weight=60), excludes=("c",)),
        role("c", by_process("nobody")),
    )
    assert found == [("a", 90), ("b", 60)]


def test_a_ring_of_implications_ends():
    found = run(
        role("a", by_process("a"), implies=("b",)), role("b", by_process("zz"), implies=("a",))
    )
    assert found == [("a", 60), ("b", 60)]


def test_an_own_role_replaces_ours():
    snapshot = {"runtime.process": [process("a")]}
    ours, own = role("r", by_process("a", weight=60)), role("r", by_process("a", weight=30))
    assert [t.confidence for t in tags(snapshot, [ours, own])] == [30]


def test_unknown_names_in_implies_are_passed_over():
    assert run(role("a", by_process("a"), implies=("nothing",))) == [("a", 60)]


def test_evidence_is_bounded_and_without_pids():
    many = [process(f"p{i}", pid=i) for i in range(100)]
    found = tags({"runtime.process": many}, [role("r", by_process(*(f"p{i}" for i in range(100))))])
    assert len(found[0].evidence) == 3


def test_long_command_lines_are_searched_at_both_ends():
    long = ["java", "-Dfirst=1", "-cp", "x" * 200_000, "kafka.Kafka"]
    for pattern, found in (("first", True), (r"kafka\.Kafka$", True), ("x{20000}", False)):
        wanted = Evidence(weight=50, process=ProcessEvidence(argv=pattern))
        assert bool(has(wanted, runtime__process=[process("java", "", long)])) is found
