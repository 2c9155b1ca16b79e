import os

from hauberk.assets import os_module as module
from hauberk.host.memory import DictHost

FILES = {
    "/proc/sys/kernel/osrelease": "6.1.0-1\n",
    "/proc/modules": (
        "nvidia 1000 2 nvidia_drm,nvidia_uvm, Live 0x0000000000000000 (POE)\n"
        "ext4 900 - - Live 0x0000000000000000\n"
        "virtio_net 4096 0 - Loading 0x0\n"
    ),
    "/lib/modules/6.1.0-1/modules.dep": "kernel/drivers/net/virtio-net.ko.xz: a\nkernel/ext4.ko:\n",
    "/sys/module/nvidia/version": "535.1\n",
    "/sys/module/nvidia/taint": "POE\n",
    "/sys/module/tcp_cubic/version": "2.3\n",
}


def test_loaded_and_built_in(rows):
    found = {r.name: r for r in rows(module, DictHost(FILES))}
    nvidia = found["nvidia"]
    assert nvidia.taints == ["proprietary", "out-of-tree", "unsigned"]
    assert (nvidia.version, nvidia.references) == ("535.1", 2)
    assert nvidia.used_by == ["nvidia_drm", "nvidia_uvm"]
    assert found["virtio_net"].path == "/lib/modules/6.1.0-1/kernel/drivers/net/virtio-net.ko.xz"
    assert found["ext4"].references is None
    assert (found["tcp_cubic"].state, found["tcp_cubic"].size_bytes) == ("built-in", None)


def test_a_line_of_another_form_is_noted(collect):
    broken = {**FILES, "/proc/modules": "what\n" + FILES["/proc/modules"]}
    found, proof = collect(module, DictHost(broken))
    assert "nvidia" in {r.name for r in found}
    assert (proof.outcome, proof.problems[0].where) == ("partial", "/proc/modules:1")


def test_this_machine(live):
    found = {r.name: r for r in live(module)}
    assert set(found) >= set(os.listdir("/sys/module"))
    if os.path.exists("/proc/modules"):
        with open("/proc/modules") as file:
            loaded = {line.split()[0] for line in file}
        assert {n for n, r in found.items() if r.state != "built-in"} == loaded


def test_files_only_is_not_applicable(collect):
    assert collect(module, DictHost())[1].outcome == "not_applicable"


def test_hostile_input(hostile):
    hostile(module, FILES)
