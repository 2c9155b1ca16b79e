import os

import pytest

from hauberk.errors import HostError, NotLive, PathMissing, PathTooLarge
from hauberk.host.live import LiveHost
from hauberk.host.root import RootHost
from hauberk.ports import Host


@pytest.fixture
def root(tmp_path):
    """A root beside a secret that it must never reach."""
    (tmp_path / "secret").write_text("outside")
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "usr/bin").mkdir(parents=True)
    (top / "etc/passwd").write_text("inside")
    (top / "usr/bin/sh").write_bytes(b"\x7fELF")
    os.symlink("usr/bin", top / "bin")
    return top


@pytest.fixture
def host(root):
    with RootHost(str(root)) as opened:
        yield opened


def test_is_a_host(host, root):
    checked: Host = host
    assert (checked.kind, checked.name) == ("root", str(root))


def test_absolute_links_start_at_the_root(host, root, tmp_path):
    os.symlink("/etc/passwd", root / "absolute")
    os.symlink(f"{tmp_path}/secret", root / "escape")
    os.symlink("/", root / "etc/top")
    assert host.read("/absolute") == b"inside"
    assert host.read("/etc/top/etc/top/etc/passwd") == b"inside"
    assert host.read("/bin/sh") == b"\x7fELF"
    with pytest.raises(PathMissing):
        host.read("/escape")


@pytest.mark.parametrize(
    "target",
    [
        "../secret",
        "../../../../../../../../secret",
        "/../secret",
        "etc/../../secret",
        "./././../secret",
        "/etc/../../root/../secret",
        "/proc/self/root/secret",
        "/proc/self/cwd",
    ],
)
def test_no_link_leads_out(host, root, target):
    os.symlink(target, root / "hostile")
    os.symlink("hostile", root / "second")
    for path in ("/hostile", "/second", f"/{target}", "/etc/../../secret"):
        with pytest.raises(PathMissing):
            host.read(path)
        assert not host.exists(path)


def test_a_folder_link_leads_nowhere_outside(host, root):
    os.symlink("../../..", root / "up")
    assert host.listdir("/up") == host.listdir("/")
    os.symlink("/..", root / "etc/up")
    assert host.stat("/etc/up").inode == host.stat("/").inode


def test_loops_and_depth_end(host, root):
    os.symlink("b", root / "a")
    os.symlink("a", root / "b")
    os.symlink("self/self/self", root / "self")
    for path in ("/a", "/self", "/a/etc"):
        with pytest.raises(HostError, match="levels of symbolic links"):
            host.read(path)
    here = root
    for _ in range(120):
        here = here / "d"
        here.mkdir()
    assert host.stat("/" + "d/" * 120).kind == "dir"
    with pytest.raises(HostError, match="levels deep"):
        host.stat("/" + "d/" * 120 + _far(here))
    assert sum(1 for s in host.walk("/", max_depth=10) if s.path.endswith("/d")) == 10


def _far(here):
    """A path below `here` that goes past 256 levels."""
    fd = os.open(here, os.O_RDONLY)
    parts = []
    for _ in range(200):
        os.mkdir("d", dir_fd=fd)
        child = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
        parts.append("d")
    os.close(fd)
    return "/".join(parts)


def test_descriptors_are_given_back(host, root):
    os.symlink("a", root / "a")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        host.read("/etc/passwd")
        host.exists("/etc/none")
        list(host.walk("/"))
        with pytest.raises(HostError):
            host.read("/a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_fifos_and_devices_are_never_opened(host, root):
    os.mkfifo(root / "pipe")
    with pytest.raises(HostError, match="not a regular file"):
        host.read("/pipe")
    with pytest.raises(HostError, match="not a regular file"):
        host.open("/pipe")
    if os.geteuid() == 0:
        os.mknod(root / "zero", 0o666 | 0o020000, os.makedev(1, 5))
        with pytest.raises(HostError, match="not a regular file"):
            host.head("/zero", 10)
    assert host.stat("/pipe").kind == "other"


def test_limits_links_and_names(host, root):
    with pytest.raises(PathTooLarge):
        host.read("/etc/passwd", limit=5)
    assert host.readlink("/bin") == "usr/bin"
    with pytest.raises(HostError, match="not a symbolic link"):
        host.readlink("/etc")
    with open(os.fsencode(root) + b"/\xff\xfe", "wb") as file:
        file.write(b"odd")
    odd = next(n for n in host.listdir("/") if not n.isascii())
    assert host.read(f"/{odd}") == b"odd"


def test_walk_does_not_follow(host, root):
    os.symlink("/etc", root / "usr/etc")
    assert [s.path for s in host.walk("/usr")] == ["/usr/bin", "/usr/bin/sh", "/usr/etc"]


def test_nothing_of_it_is_run(host):
    with pytest.raises(NotLive):
        host.tool(["nft", "-j", "list", "ruleset"])
    with pytest.raises(NotLive):
        host.usage("/")
    assert host.runtimes() == ()


def test_clock_is_the_newest_file(host, root):
    for path in (root, root / "etc", root / "etc/passwd"):
        os.utime(path, (1, 1))
    os.utime(root / "etc/passwd", (1000, 2000))
    assert host.now_ns() == 2000 * 10**9


def test_agrees_with_the_live_host():
    live = LiveHost()
    with RootHost("/") as same:
        assert same.read("/etc/passwd") == live.read("/etc/passwd")
        assert same.listdir("/etc") == live.listdir("/etc")
        assert list(same.walk("/etc")) == list(live.walk("/etc"))
        assert same.stat("/bin/sh") == live.stat("/bin/sh")


def test_a_root_that_is_none(tmp_path):
    with pytest.raises(PathMissing):
        RootHost(f"{tmp_path}/none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(PathMissing):
        RootHost(f"{tmp_path}/file")
