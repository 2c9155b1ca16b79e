import pytest

from hauberk.errors import HostError, NotLive, PathDenied, PathMissing, PathTooLarge
from hauberk.host.memory import DictHost, DictRuntime, Node
from hauberk.ports import FsUsage, Host

FILES = {"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/var/empty/": b"", "/bin/sh": b"\x7fELF"}


@pytest.fixture
def host() -> DictHost:
    return DictHost(
        {**FILES, "/dev/null": Node(kind="other"), "/suid": Node(b"x", mode=0o4755, mtime_ns=7)},
        links={"/sbin": "bin", "/up": "../../../etc", "/loop": "loop", "/gone": "/nowhere"},
        denied={"/etc/shadow", "/root"},
    )


def test_is_a_host(host):
    checked: Host = host
    assert checked.kind == "dict"


def test_reads_text_and_bytes(host):
    assert host.read("/etc/passwd") == FILES["/etc/passwd"].encode()
    assert host.head("/etc/passwd", 4) == b"root"
    with host.open("/bin/sh") as file:
        file.seek(1)
        assert file.read() == b"ELF"


def test_follows_links_inside(host):
    assert host.read("/sbin/sh") == b"\x7fELF"
    assert host.read("/up/passwd") == host.read("/etc/passwd")
    assert host.readlink("/sbin") == "bin"
    assert host.stat("/sbin").kind == "dir"
    assert host.stat("/sbin", follow=False).kind == "link"


def test_absence_denial_and_loops_are_told_apart(host):
    with pytest.raises(PathMissing):
        host.read("/nothing")
    with pytest.raises(PathMissing):
        host.read("/gone")
    with pytest.raises(PathMissing):
        host.read("/etc/passwd/x")
    with pytest.raises(PathDenied):
        host.read("/etc/shadow")
    with pytest.raises(PathDenied):
        host.exists("/root/.ssh")
    with pytest.raises(HostError, match="too many levels"):
        host.read("/loop")
    assert host.exists("/etc/shadow")
    assert not host.exists("/gone")


def test_limit_and_other_kinds(host):
    with pytest.raises(PathTooLarge):
        host.read("/etc/passwd", limit=3)
    with pytest.raises(HostError, match="not a regular file"):
        host.read("/dev/null")
    with pytest.raises(HostError, match="absolute"):
        host.read("etc/passwd")


def test_lists_and_walks_sorted(host):
    assert host.listdir("/etc") == ["passwd", "shadow"]
    assert host.listdir("/var/empty") == []
    paths = [s.path for s in host.walk("/", skip={"/bin"})]
    assert paths == sorted(paths)
    assert "/etc/passwd" in paths
    assert "/bin" not in paths
    assert not any(p.startswith("/sbin/") for p in paths)
    assert [s.path for s in host.walk("/", max_depth=1) if s.path.count("/") > 1] == []


def test_stat_carries_what_the_node_says(host):
    found = host.stat("/suid")
    assert (found.size, found.mode, found.mtime_ns) == (1, 0o4755, 7)
    assert host.now_ns() == 7


def test_only_a_live_dict_has_tools_and_space(host):
    with pytest.raises(NotLive):
        host.tool(["nft"])
    with pytest.raises(NotLive):
        host.usage("/")
    live = DictHost(
        kind="live",
        tools={"nft -j list ruleset": "{}", "bad": HostError("failed")},
        usage={"/": FsUsage(total=10, free=5, available=4)},
        runtimes=[DictRuntime()],
        now_ns=3,
    )
    assert live.tool(["nft", "-j", "list", "ruleset"]) == b"{}"
    assert live.usage("/").free == 5
    assert live.now_ns() == 3
    assert live.runtimes()[0].version() == "1"
    with pytest.raises(PathMissing):
        live.tool(["absent"])
    with pytest.raises(HostError, match="failed"):
        live.tool(["bad"])


def test_runtime_raises_its_error():
    runtime = DictRuntime(error=HostError("down"))
    for call in (
        runtime.version,
        runtime.storage,
        runtime.containers,
        runtime.images,
        runtime.registries,
    ):
        with pytest.raises(HostError, match="down"):
            call()
