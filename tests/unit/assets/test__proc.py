import pytest
from procfs import CONTAINER, Procfs, stat_line

from hauberk.assets import _proc
from hauberk.errors import HostError
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

OTHER = "ab" * 32


@pytest.mark.parametrize(
    ("raw", "path", "container"),
    [
        (b"0::/\n", "/", ""),
        (f"0::/docker/{CONTAINER}\n".encode(), f"/docker/{CONTAINER}", CONTAINER),
        (
            f"0::/x/cri-containerd-{OTHER}.scope\n".encode(),
            f"/x/cri-containerd-{OTHER}.scope",
            OTHER,
        ),
        # The innermost one is the process's own.
        (
            f"0::/docker/{OTHER}/kubepods/{CONTAINER}\n".encode(),
            f"/docker/{OTHER}/kubepods/{CONTAINER}",
            CONTAINER,
        ),
        # Only a version 1 hierarchy names it.
        (f"4:memory:/libpod-{OTHER}\n0::/\n".encode(), f"/libpod-{OTHER}", OTHER),
        # The monitor beside a container is no part of it.
        (
            f"0::/machine.slice/libpod-conmon-{OTHER}.scope\n".encode(),
            f"/machine.slice/libpod-conmon-{OTHER}.scope",
            "",
        ),
        (
            b"9:name=systemd:/old.service\n0::/system.slice/x.service\n",
            "/system.slice/x.service",
            "",
        ),
        (f"0::/{'ab' * 40}\n".encode(), "/" + "ab" * 40, ""),
        (b"", "", ""),
        (b"no colons at all", "", ""),
    ],
)
def test_parse_cgroup(raw, path, container):
    assert _proc.parse_cgroup(raw) == (path, container)


def test_parse_stat_keeps_brackets_and_newlines_of_the_name():
    stat = _proc.parse_stat(stat_line(3, b") S 1 (\n", start=7, ticks=(10, 20)))
    assert stat is not None
    assert (stat.name, stat.start_ns, stat.cpu_ticks) == (") S 1 (\n", 70_000_000, 30)


def test_split_argv():
    assert _proc.split_argv(b"") == []
    assert _proc.split_argv(b"a\0\0b\0") == ["a", "", "b"]
    assert _proc.split_argv(b"title without end") == ["title without end"]


def test_pids_ignores_other_names():
    host = DictHost({f"/proc/{n}/stat": "" for n in ("1", "20", "self", "0x1", "٣", "9" * 30)})
    assert _proc.pids(host) == [1, 20]


def test_processes_is_empty_without_proc_and_skips_kernel_threads():
    notes = Notes()
    assert list(_proc.processes(DictHost({"/etc/x": ""}), notes)) == []
    host = Procfs().add(2, kernel=True).add(3, b"a", exe="/a", argv=["a"]).host()
    (proc,) = _proc.processes(host, notes)
    assert (proc.pid, proc.exe, proc.argv, proc.kernel) == (3, "/a", ["a"], False)
    assert notes.problems == []


def test_denied_is_noted_once():
    notes = Notes()
    for _ in range(2):
        denied = _proc.Denied("maps")
        denied.add("/proc/1/maps")
        denied.note(notes)
    _proc.Denied("nothing").note(notes)
    assert len(notes.problems) == 1


def test_listing_refused_raises():
    with pytest.raises(HostError):
        _proc.pids(DictHost({}, denied=["/proc"]))


def test_user_names_notes_refusal():
    notes = Notes()
    assert _proc.user_names(DictHost({}, denied=["/etc/passwd"]), notes) == {}
    assert [p.where for p in notes.problems] == ["/etc/passwd"]
    lines = "a:x:1:1\nb:x:1:1\n:x:\nc:x:-4:\nd:x:99999999999999:\n"
    assert _proc.user_names(DictHost({"/etc/passwd": lines}), notes) == {1: "a"}
