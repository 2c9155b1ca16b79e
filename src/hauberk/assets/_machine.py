"""Identity and size of a machine over a Host: names, release, architecture, processors."""

from __future__ import annotations

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host
from hauberk.schema.text import from_bytes

from ._platform import text_or

# e_machine of an ELF file -> name as uname prints it.
_ELF_MACHINES = {
    3: "i686",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "armv7l",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
RELEASE_FILES = ("/etc/os-release", "/usr/lib/os-release")


def os_release(host: Host) -> tuple[str, dict[str, str]]:
    """(path, variables) of the os-release file; ("", {}) when there is none. Raises HostError."""
    for path in RELEASE_FILES:
        try:
            return path, parse_release(from_bytes(host.read(path, limit=1 << 20)))
        except PathMissing:
            continue
    return "", {}


def parse_release(text: str) -> dict[str, str]:
    """Variables of an os-release file: shell assignments without expansion."""
    found: dict[str, str] = {}
    for line in text.splitlines()[:1000]:
        name, equals, value = line.strip().partition("=")
        if not equals or not name.replace("_", "").isalnum() or not name.isascii():
            continue
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        for mark in ('"', "$", "`", "\\"):
            value = value.replace(f"\\{mark}", mark)
        found.setdefault(name, value)
    return found


def architecture(host: Host) -> str:
    """Machine name as uname prints it, else of the shell's ELF header, else ""."""
    told = text_or(host, "/proc/sys/kernel/arch")
    if told:
        return told
    for path in ("/bin/sh", "/usr/bin/env", "/sbin/init", "/lib/ld-musl-x86_64.so.1"):
        try:
            head = host.head(path, 20)
        except HostError:
            continue
        if len(head) == 20 and head[:4] == b"\x7fELF":
            order = "little" if head[5] == 1 else "big"
            number = int.from_bytes(head[18:20], "big" if order == "big" else "little")
            return _ELF_MACHINES.get(number, f"elf-{number}")
    return ""


def hostname(host: Host) -> str:
    """The kernel's name of a running machine, else /etc/hostname, else ""."""
    if host.kind != "root":
        told = text_or(host, "/proc/sys/kernel/hostname")
        if told:
            return told
    for line in text_or(host, "/etc/hostname").splitlines():
        if line.strip() and not line.startswith("#"):
            return line.strip()
    return ""


def cpu_count(host: Host) -> int:
    """Online processors, 0 when the host is files only. Raises HostError when /proc is denied."""
    online = text_or(host, "/sys/devices/system/cpu/online")
    try:
        listed = parse_cpu_list(online)
    except ValueError:
        listed = 0
    if listed:
        return listed
    lines = text_or(host, "/proc/cpuinfo").splitlines()
    return sum(1 for line in lines if line.split(":")[0].strip() == "processor")


def parse_cpu_list(text: str) -> int:
    """How many processors a list such as `0-3,8` names. Raises ValueError."""
    total = 0
    for part in text.split(",") if text else ():
        low, dash, high = part.partition("-")
        count = int(high) - int(low) + 1 if dash else (int(low), 1)[1]
        if not 0 < count <= 65536:
            raise ValueError(f"{part!r} is not a range of processors")
        total += count
    return total


def parse_meminfo(text: str) -> dict[str, int]:
    """Bytes by name; lines that are not `Name: number [kB]` are left out."""
    found: dict[str, int] = {}
    for line in text.splitlines()[:500]:
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and words and words[0].isascii() and words[0].isdigit() and len(words[0]) < 16:
            found[name] = int(words[0]) * (1024 if words[1:2] == ["kB"] else 1)
    return found
