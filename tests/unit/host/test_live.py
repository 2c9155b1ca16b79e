import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from hauberk.errors import HostError, PathDenied, PathMissing, PathTooLarge
from hauberk.host import _files, live
from hauberk.host.live import LiveHost
from hauberk.ports import Host


@pytest.fixture
def host() -> LiveHost:
    return LiveHost()


def test_is_a_host(host):
    checked: Host = host
    assert checked.kind == "live"
    assert checked.name == os.uname().nodename


def test_reads_proc_files_of_unknown_size(host):
    assert os.stat("/proc/self/status").st_size == 0
    text = host.read("/proc/self/status").decode()
    assert f"Pid:\t{os.getpid()}\n" in text
    assert host.head("/proc/self/comm", 3) == Path("/proc/self/comm").read_bytes()[:3]


def test_reads_in_more_than_one_chunk(host, tmp_path):
    data = os.urandom(700_000)
    (tmp_path / "big").write_bytes(data)
    assert host.read(f"{tmp_path}/big") == data
    assert host.head(f"{tmp_path}/big", 600_000) == data[:600_000]
    with pytest.raises(PathTooLarge):
        host.read(f"{tmp_path}/big", limit=699_999)
    assert host.read(f"{tmp_path}/big", limit=700_000) == data


def test_fifo_and_device_are_never_opened(host, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    # Opening the FIFO would block for ever.
    for path in (f"{tmp_path}/pipe", "/dev/zero", "/dev"):
        with pytest.raises(HostError, match="not a regular file"):
            host.read(path)


def test_names_that_are_not_utf8_survive(host, tmp_path):
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(odd, "wb") as file:
        file.write(b"x")
    (name,) = host.listdir(str(tmp_path))
    assert host.read(f"{tmp_path}/{name}") == b"x"
    assert [s.path for s in host.walk(str(tmp_path))] == [f"{tmp_path}/{name}"]


def test_absence_is_told_from_other_failures(host, tmp_path):
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(PathMissing):
        host.read(f"{tmp_path}/absent")
    with pytest.raises(PathMissing):
        host.read("/proc/self/status/x")
    with pytest.raises(HostError, match="levels of symbolic links"):
        host.read(f"{tmp_path}/loop")
    with pytest.raises(HostError, match="NUL"):
        host.read("/etc/\0passwd")
    with pytest.raises(HostError, match="absolute"):
        host.read("etc/passwd")
    assert not host.exists(f"{tmp_path}/absent")
    with pytest.raises(HostError):
        host.exists(f"{tmp_path}/loop")


def test_denied_is_not_absent(host):
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/closed", 0o700)
        path = f"{top}/closed/secret"
        with open(path, "w") as file:
            file.write("x")
        os.seteuid(65534)
        try:
            for call in (host.read, host.exists, host.stat, host.open):
                with pytest.raises(PathDenied, match="run as root"):
                    call(path)
            with pytest.raises(PathDenied):
                host.listdir(f"{top}/closed")
            assert [s.path for s in host.walk(top)] == [f"{top}/closed"]
        finally:
            os.seteuid(0)


def test_walk_equals_find(host, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    os.symlink("/", tmp_path / "a/out")
    found = {s.path: s for s in host.walk(str(tmp_path))}
    listed = subprocess.run(
        ["find", str(tmp_path), "-mindepth", "1"], capture_output=True, text=True, check=True
    )
    assert set(found) == set(listed.stdout.split())
    assert found[f"{tmp_path}/a/out"].kind == "link"
    assert [s.path for s in host.walk(str(tmp_path), skip={f"{tmp_path}/a/b"})] == [
        f"{tmp_path}/a",
        f"{tmp_path}/a/out",
    ]


def test_stat_and_space_agree_with_the_system(host):
    real = os.stat("/etc/passwd")
    found = host.stat("/etc/passwd")
    assert (found.size, found.uid, found.inode) == (real.st_size, real.st_uid, real.st_ino)
    assert found.mode == real.st_mode & 0o7777
    assert host.usage("/").total == os.statvfs("/").f_blocks * os.statvfs("/").f_frsize


def test_tool_runs_only_the_listed_ones(host):
    with pytest.raises(HostError, match="not on the list"):
        host.tool(["rm", "-rf", "/nothing"])
    with pytest.raises(HostError, match="not on the list"):
        host.tool(["nft", "flush", "ruleset"])
    assert b'"ifname":"lo"' in host.tool(["ip", "-j", "link", "show"]).replace(b" ", b"")


def test_tool_reports_failure_hang_and_absence(host, monkeypatch, tmp_path):
    monkeypatch.setattr(live, "TOOL_FOLDERS", (str(tmp_path),))
    with pytest.raises(PathMissing):
        host.tool(["nft", "-j", "list", "ruleset"])
    tool = tmp_path / "nft"
    tool.write_text('#!/bin/sh\necho "no netlink $LANG $HOME" >&2\nexit 3\n')
    tool.chmod(0o777)
    with pytest.raises(PathDenied, match="mend its owner or mode"):
        host.tool(["nft", "-j", "list", "ruleset"])
    tool.chmod(0o755)
    if os.geteuid() != 0:
        pytest.skip("needs root to own the tool")
    with pytest.raises(HostError, match=r"exit code 3: no netlink C$"):
        host.tool(["nft", "-j", "list", "ruleset"])
    tool.write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    monkeypatch.setattr(live, "TOOL_TIMEOUT_S", 0.2)
    with pytest.raises(HostError, match="no answer"):
        host.tool(["nft", "-j", "list", "ruleset"])


def test_clock_is_the_machines(host):
    before = time.time_ns()
    assert before <= host.now_ns() <= time.time_ns()


def test_a_folder_of_very_many_names_is_looked_at_in_part_and_said(host, tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "MAX_NAMES", 10)
    for n in range(25):
        (tmp_path / f"{n}.txt").touch()
    (tmp_path / "x.jar").touch()
    said = []
    top = str(tmp_path)
    found = list(host.walk(top, denied=lambda path, why: said.append((path, why))))
    assert len(found) == 10
    assert said == [(top, "more than 10 names: the rest is left out")]
    # Names that nobody wants count for nothing.
    (jar,) = host.walk(top, wanted=lambda n: n.endswith(".jar"), denied=lambda *_: said.clear())
    assert jar.path == f"{top}/x.jar"
    assert len(said) == 1
