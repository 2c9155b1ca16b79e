import os

import pytest
from procfs import CONTAINER, Procfs, run

from hauberk.assets.runtime_library import COLLECTOR, Library, parse_maps
from hauberk.errors import NotLive
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost

MAPS = """55d0-55d1 r--p 00000000 fe:00 11                         /usr/sbin/web
55d1-55d2 r-xp 00001000 fe:00 11                         /usr/sbin/web
7f00-7f01 r-xp 00001000 fe:00 12                         /usr/lib/libssl.so.3 (deleted)
7f01-7f02 r--p 00001000 fe:00 13                         /usr/share/locale/x
7f02-7f03 r-xp 00000000 00:00 0                          [vdso]
7f03-7f04 rwxp 00000000 00:00 0
7f04-7f05 r-xp 00000000 00:00 14 /tmp/a b\\012c
ffff-ffff --xp 00000000 00:00 0                          [vsyscall]
"""


def test_rows_join_processes():
    host = (
        Procfs()
        .add(10, exe="/usr/sbin/web", maps=MAPS)
        .add(11, exe="/usr/sbin/web", maps=MAPS)
        .add(12, exe="/x", cgroup=f"0::/docker/{CONTAINER}\n",
             maps="7f-80 r-xp 0 fe:00 99 /usr/lib/libssl.so.3\n")
        .add(2, kernel=True)
        .host()
    )  # fmt: skip
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert rows == [
        Library(path="/tmp/a b\\012c", name="a b\\012c", inode=14, processes=2, pids=["10", "11"]),
        Library(path="/usr/lib/libssl.so.3", name="libssl.so.3", deleted=True, inode=12, processes=2, pids=["10", "11"]),
        Library(path="/usr/lib/libssl.so.3", name="libssl.so.3", container=CONTAINER, inode=99, processes=1, pids=["12"]),
        Library(path="/usr/sbin/web", name="web", main=True, inode=11, processes=2, pids=["10", "11"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw", [b"", b"\xff" * 10_000, b"a-b r-xp\n" * 100, b"1-2 r-xp 0 0:0 " + b"9" * 5000 + b" /x\n"]
)
def test_hostile(raw):
    assert len(parse_maps(raw)) <= 1
    rows, problems = run(COLLECTOR, Procfs().add(3, exe="/e", maps=raw).host())
    assert len(rows) <= 1
    assert problems == []


def test_huge_map_is_cut_with_a_note(monkeypatch):
    monkeypatch.setattr("hauberk.assets.runtime_library.MAPS_LIMIT", 500)
    _, problems = run(COLLECTOR, Procfs().add(3, exe="/e", maps=MAPS * 10).host())
    assert [p.where for p in problems] == ["/proc/3/maps"]
    monkeypatch.setattr("hauberk.assets.runtime_library.MAX_LIBRARIES", 1)
    rows, problems = run(COLLECTOR, Procfs().add(3, exe="/e", maps=MAPS).host())
    assert len(rows) == 1
    assert any("more than 1 libraries" in p.what for p in problems)


def test_denied_is_one_note():
    host = Procfs().add(3, exe="/e", maps="").add(4, exe="/e", maps="").host(
        denied=["/proc/3/maps", "/proc/4/maps"]
    )  # fmt: skip
    rows, problems = run(COLLECTOR, host)
    assert rows == []
    assert [p.where for p in problems] == ["/proc/3/maps"]


def test_needs_a_running_machine():
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({}))


def test_live_own_libraries():
    rows, _ = run(COLLECTOR, LiveHost())
    with open("/proc/self/maps") as file:
        mine = {line.split(None, 5)[5].strip() for line in file if "r-xp" in line and " /" in line}
    found = {r.path for r in rows if str(os.getpid()) in r.pids}
    assert mine <= found
    assert any(p.endswith(".so") or ".so." in p for p in mine)
