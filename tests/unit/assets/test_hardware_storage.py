import os

from hauberk.assets import hardware_storage as module
from hauberk.host.memory import DictHost
from hauberk.ports import FsUsage

FILES = {
    "/proc/self/mounts": (
        "/dev/mapper/root / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n"
        "/dev/sda1 /mnt/two\\040words ext4 ro,noexec 0 0\n"
        "srv:/x /nfs nfs4 rw 0 0\n/dev/old / ext4 ro 0 0\n/dev/mapper/root / ext4 rw,relatime 0 0\n"
        "tmpfs /var/lib/kubelet/pods/1/v tmpfs rw 0 0\nx /mnt/f fuse.rclone rw 0 0\noverlay /var/lib/docker/x overlay rw 0 0\n"
    ),
    "/sys/block/sda/size": "2048\n",
    "/sys/block/sda/ro": "0\n",
    "/sys/block/sda/removable": "1\n",
    "/sys/block/sda/queue/rotational": "1\n",
    "/sys/block/sda/device/model": "Best  Disk \n",
    "/sys/block/sda/sda1/partition": "1\n",
    "/sys/block/sda/sda1/size": "1024\n",
    "/sys/block/dm-0/dm/name": "root\n",
    "/sys/block/dm-0/dm/uuid": "CRYPT-LUKS2-abc\n",
    "/sys/block/dm-0/size": "100\n",
    "/sys/block/loop0/size": "0\n",
}
USAGE = {"/": FsUsage(total=100, free=40, available=30)}


def test_devices_and_filesystems(rows):
    found = {
        (r.kind, r.device, r.mount_point): r
        for r in rows(
            module,
            DictHost(FILES | {"/mnt/two words/": b"", "/nfs/": b""}, kind="live", usage=USAGE),
        )
    }
    disk = found["disk", "/dev/sda", ""]
    assert (disk.size_bytes, disk.model, disk.removable, disk.read_only) == (
        1 << 20,
        "Best Disk",
        True,
        False,
    )
    assert found["partition", "/dev/sda1", ""].size_bytes == 1024 * 512
    root = found["filesystem", "/dev/mapper/root", "/"]
    assert (root.size_bytes, root.used_bytes, root.available_bytes) == (100, 60, 30)
    assert root.encrypted is True
    second = found["filesystem", "/dev/sda1", "/mnt/two words"]
    assert (second.read_only, second.options) == (True, ["noexec", "ro"])
    remote = found["filesystem", "srv:/x", "/nfs"]
    assert (remote.fs_type, remote.size_bytes) == ("nfs4", None)
    assert found["filesystem", "x", "/mnt/f"].size_bytes is None
    assert not [k for k in found if "kubelet" in k[2] or k[1] == "/dev/old"]
    assert {k[0] for k in found} == {"disk", "partition", "filesystem"}
    assert not [k for k in found if "loop" in k[1] or k[1] in ("proc", "overlay")]


def test_of_a_root_folder_the_fstab_counts(rows, collect):
    fstab = "# comment\nUUID=1 / ext4 defaults,ro 0 1\nUUID=2 none swap sw 0 0\n"
    (found,) = rows(module, DictHost({"/etc/fstab": fstab}, kind="root"))
    assert (found.device, found.mount_point, found.read_only, found.size_bytes) == (
        "UUID=1",
        "/",
        True,
        None,
    )
    assert collect(module, DictHost(kind="root"))[1].outcome == "not_applicable"


def test_this_machine(live):
    found = live(module)
    root = next(r for r in found if r.mount_point == "/")
    space = os.statvfs("/")
    assert root.size_bytes == space.f_blocks * space.f_frsize
    disks = {r.device for r in found if r.kind == "disk"}
    real = {d for d in os.listdir("/sys/block") if not d.startswith(("loop", "ram", "zram"))}
    assert {d.rpartition("/")[2] for d in disks if "mapper" not in d} == {
        d for d in real if not d.startswith("dm-")
    }


def test_only_space_is_volatile():
    assert {"used_bytes", "available_bytes"} == module.Storage.VOLATILE


def test_hostile_input(hostile):
    hostile(module, FILES, usage=USAGE)
    hostile(module, {"/etc/fstab": "UUID=1 / ext4 rw 0 1\n"}, kind="root")
