from hauberk.assets import container_registry as module
from hauberk.errors import HostError
from hauberk.host.memory import DictHost, DictRuntime

FILES = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    "/etc/docker/daemon.json": (
        '{"registry-mirrors": ["http://m.test", 5], "insecure-registries": ["r.test:5000"]}'
    ),
    "/etc/containers/registries.conf": (
        'unqualified-search-registries = ["docker.io"]\n[[registry]]\nlocation = "in.test"\n'
        'insecure = true\n[[registry.mirror]]\nlocation = "m2.test"\n'
    ),
    "/etc/containers/registries.conf.d/b.conf": (
        '[[registry]]\nprefix = "bad.test"\nblocked = true\n'
    ),
    "/root/.docker/config.json": '{"auths": {"hub.test": {"auth": "U0VDUkVU"}}}',
}


def test_files_of_docker_and_podman(rows):
    found = rows(module, DictHost(FILES))
    assert {(r.name, r.kind, r.insecure) for r in found} == {
        ("http://m.test", "mirror", True),
        ("r.test:5000", "insecure", True),
        ("docker.io", "search", False),
        ("in.test", "configured", True),
        ("m2.test", "mirror", False),
        ("bad.test", "blocked", False),
        ("hub.test", "login", False),
    }
    assert "U0VDUkVU" not in str(found)


def test_runtimes_answer_too(rows, collect):
    runtime = DictRuntime(held_registries=["docker.io", "r:5000 (insecure)"])
    found = rows(module, DictHost({"/etc/passwd": ""}, kind="live", runtimes=[runtime]))
    assert {(r.name, r.insecure, r.source) for r in found} == {
        ("docker.io", False, runtime.socket),
        ("r:5000", True, runtime.socket),
    }
    dead = DictRuntime(error=HostError("down"))
    assert collect(module, DictHost(kind="live", runtimes=[dead]))[1].outcome == "partial"


def test_this_machine(live):
    for row in live(module):
        assert row.name
        assert row.source.startswith("/")


def test_hostile_input(hostile):
    hostile(module, FILES)
    deep = b"[" * 100_000
    hostile(
        module, {"/etc/docker/daemon.json": deep, "/etc/containers/registries.conf": b"a=" + deep}
    )
