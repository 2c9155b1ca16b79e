from hauberk.assets._container_names import ContainerNames
from hauberk.errors import HostError
from hauberk.host.memory import DictHost, DictRuntime
from hauberk.ports import ContainerInfo

WEB = "a" * 64


def info(name, runtime):
    return ContainerInfo(id=WEB, name=name, runtime=runtime)


def test_the_name_wins_over_the_id_and_dead_sockets_are_passed_over():
    runtimes = [
        DictRuntime("podman", "/p.sock", error=HostError("gone")),
        DictRuntime("containerd", "/c.sock", held_containers=[info(WEB, "containerd")]),
        DictRuntime("docker", "/d.sock", held_containers=[info("web", "docker")]),
    ]
    names = ContainerNames(DictHost({}, kind="live", runtimes=runtimes))
    assert names.of(WEB) == "web"
    assert names.of("b" * 64) == "b" * 12


def test_nobody_is_asked_where_nothing_is_in_a_container():
    class Silent(DictHost):
        def runtimes(self):
            raise AssertionError

    assert ContainerNames(Silent({}, kind="live")).of("") == ""
