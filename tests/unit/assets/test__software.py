"""The one walk of the software collectors."""

import msgspec

from hauberk.assets import _software
from hauberk.errors import HostError
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

MOUNTS = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 254:1 / /srv/a\\040b rw - xfs /dev/vdb rw
24 22 254:1 /x /srv/again rw - xfs /dev/vdb rw
25 22 0:5 / /net rw - nfs4 h:/x rw
26 22 0:6 / /home/u/mnt rw - fuse.sshfs x rw
27 22 254:2 / /var/lib/docker rw - ext4 /dev/vdc rw
28 22 254:3 / /gone rw - ext4 /dev/vdd rw
29 22 254:4 / /broken rw - ext4 /dev/vde rw
"""
DEVICES = {"/srv/a b": 2, "/srv/again": 2, "/net": 3, "/home/u/mnt": 4, "/broken": 6}


class Machine(DictHost):
    """A DictHost with several filesystems."""

    def _device(self, path):
        return next((d for t, d in DEVICES.items() if path == t or path.startswith(f"{t}/")), 1)

    def stat(self, path, *, follow=True):
        return msgspec.structs.replace(super().stat(path, follow=follow), device=self._device(path))

    def walk(self, top, **more):
        if top == "/broken" and "max_depth" not in more:
            raise HostError("/broken: Input/output error")
        found = super().walk(top, **more)
        return (e for e in found if self._device(e.path) == self._device(top))


FILES = {
    "/proc/self/mountinfo": MOUNTS,
    "/opt/a.jar": "x",
    "/srv/a b/b.jar": "x",
    "/srv/again/c.jar": "x",
    "/net/d.jar": "x",
    "/home/u/mnt/e.jar": "x",
    "/broken/f.jar": "x",
}


def walk(kind):
    notes = Notes()
    found = _software.find(Machine(FILES, kind=kind), notes, lambda e: e.path.endswith(".jar"))
    return [e.path for e in found], notes


def test_every_local_filesystem_is_walked_once():
    found, notes = walk("live")
    assert found == ["/opt/a.jar", "/srv/a b/b.jar"]
    assert [(p.where, p.what) for p in notes.problems] == [
        ("/broken", "/broken: Input/output error")
    ]
    assert notes.hidden


def test_a_mounted_root_has_no_mounts_of_its_own():
    found, notes = walk("root")
    assert found == ["/opt/a.jar"]
    assert not notes.problems


def test_a_long_search_without_rows_is_paced():
    host = DictHost({f"/srv/{n}": b"" for n in range(1100)})
    turns = []
    notes = Notes(pace=lambda: turns.append(1))
    assert list(_software.find(host, notes, lambda _: False)) == []
    assert len(turns) == 2
