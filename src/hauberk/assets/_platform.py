"""What a machine runs on and as: physical, virtual or container, with the evidence."""

from __future__ import annotations

from typing import Literal

import msgspec

from hauberk.errors import HostError, NotLive, PathDenied, PathMissing
from hauberk.ports import Host
from hauberk.schema.text import from_bytes

from ._cgroups import container_of_cgroup

# DMI vendor or product prefix -> hypervisor or cloud.
_DMI: tuple[tuple[str, str], ...] = (
    ("qemu", "qemu"),
    ("kvm", "kvm"),
    ("bochs", "bochs"),
    ("vmware", "vmware"),
    ("innotek", "virtualbox"),
    ("virtualbox", "virtualbox"),
    ("xen", "xen"),
    ("parallels", "parallels"),
    ("bhyve", "bhyve"),
    ("amazon ec2", "amazon"),
    ("google compute engine", "google"),
    ("alibaba cloud", "alibaba"),
    ("tencent cloud", "tencent"),
    ("huawei cloud", "huawei"),
    ("openstack", "openstack"),
    ("rhev", "kvm"),
    ("nutanix", "nutanix"),
    ("apple virtualization", "apple"),
    ("firecracker", "firecracker"),
)
_LAYERS = ("/containerd/", "/docker/", "/containers/storage/", "/overlay2/", "/crio/")


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is the hypervisor or container manager, "" where it does not tell."""

    kind: Literal["physical", "vm", "container", "unknown"]
    name: str = ""
    hypervisor: str = ""
    evidence: list[str] = []


def text_of(host: Host, path: str, limit: int = 1 << 20) -> str:
    """First `limit` bytes as stripped text, "" when absent. Raises PathDenied, HostError."""
    try:
        return from_bytes(host.head(path, limit)).strip("\0 \t\r\n")
    except PathMissing:
        return ""


def text_or(host: Host, path: str, other: str = "") -> str:
    """Like `text_of`, and `other` also where it cannot be read: for hints only."""
    try:
        return text_of(host, path) or other
    except HostError:
        return other


def live_text(host: Host, path: str, limit: int = 1 << 22) -> str:
    """Text of a file that every running machine has. Raises NotLive elsewhere, HostError."""
    try:
        return from_bytes(host.head(path, limit))
    except PathMissing as error:
        if host.kind == "live":
            raise
        raise NotLive(f"{path}: {host.name} is not a running machine") from error


def platform(host: Host) -> Platform:
    """Judge by container marks first, then hypervisor marks, then DMI."""
    evidence: list[str] = []
    hypervisor = _hypervisor(host, evidence)
    manager = _container(host, evidence)
    if manager:
        return Platform(kind="container", name=manager, hypervisor=hypervisor, evidence=evidence)
    if hypervisor:
        name = "" if hypervisor == "unknown" else hypervisor
        return Platform(kind="vm", name=name, hypervisor=hypervisor, evidence=evidence)
    if text_or(host, "/sys/class/dmi/id/sys_vendor") or text_or(host, "/proc/cpuinfo"):
        return Platform(kind="physical", evidence=["no hypervisor flag, no known DMI vendor"])
    return Platform(kind="unknown", evidence=["neither /proc/cpuinfo nor DMI can be read"])


def _hypervisor(host: Host, evidence: list[str]) -> str:
    vendor = text_or(host, "/sys/class/dmi/id/sys_vendor")
    product = text_or(host, "/sys/class/dmi/id/product_name")
    if product.endswith(".metal"):
        return ""
    kind = text_or(host, "/sys/hypervisor/type")
    tree = text_or(host, "/proc/device-tree/hypervisor/compatible")
    flag = "unknown" if _cpu_flag(host) else ""
    for name, why in (
        (_dmi(product), f"DMI says {product}"),
        (_dmi(vendor), f"DMI says {vendor}"),
        (_hyper_v(vendor, product), f"DMI says {vendor} {product}"),
        (kind, f"/sys/hypervisor/type says {kind}"),
        (tree.partition(",")[2] or tree, f"device tree says {tree}"),
        (flag, "CPU flag hypervisor"),
    ):
        if name:
            evidence.append(why)
            return name
    return ""


def _dmi(value: str) -> str:
    low = value.lower()
    return next((name for prefix, name in _DMI if low.startswith(prefix)), "")


def _hyper_v(vendor: str, product: str) -> str:
    return "hyper-v" if (vendor, product) == ("Microsoft Corporation", "Virtual Machine") else ""


def _cpu_flag(host: Host) -> bool:
    for line in text_or(host, "/proc/cpuinfo").splitlines():
        if line.startswith("flags"):
            return "hypervisor" in line.split()
    return False


def _present(host: Host, path: str) -> bool:
    try:
        return host.exists(path)
    except PathDenied:
        return True


def _container(host: Host, evidence: list[str]) -> str:
    manager = text_or(host, "/run/systemd/container")
    if manager:
        evidence.append(f"/run/systemd/container says {manager}")
        return manager
    if _present(host, "/run/.containerenv"):
        evidence.append("/run/.containerenv exists")
        return "podman"
    if container_of_cgroup(text_or(host, "/proc/1/cgroup")):
        evidence.append("process 1 is in a container's cgroup")
        return _manager(text_or(host, "/proc/1/cgroup"))
    root = _root_mount(text_or(host, "/proc/1/mounts") or text_or(host, "/proc/mounts"))
    if root.startswith("overlay ") and any(layer in root for layer in _LAYERS):
        evidence.append("the root filesystem is made of container image layers")
        return _manager(root)
    # A machine whose disk was made from an image keeps /.dockerenv: there / is a real device.
    if _present(host, "/.dockerenv") and root and not root.startswith("/dev/"):
        evidence.append("/.dockerenv exists and / is not a device")
        return "docker"
    return ""


def _root_mount(mounts: str) -> str:
    lines = [line for line in mounts.splitlines() if line.split(" ")[1:2] == ["/"]]
    return lines[-1] if lines else ""


def _manager(text: str) -> str:
    for word, name in (
        ("libpod", "podman"),
        ("containers/storage", "podman"),
        ("crio", "cri-o"),
        ("containerd", "containerd"),
        ("docker", "docker"),
        ("overlay2", "docker"),
    ):
        if word in text:
            return name
    return "container"
