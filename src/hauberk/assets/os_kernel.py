"""The kernel: version, boot parameters, security settings, taint, lockdown, security modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, NotLive, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from ._platform import text_of

# Settings that decide what an attacker on the machine or its network can do.
SYSCTLS = [
    "dev.tty.ldisc_autoload",
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.io_uring_disabled",
    "kernel.kexec_load_disabled",
    "kernel.kptr_restrict",
    "kernel.modules_disabled",
    "kernel.panic_on_oops",
    "kernel.perf_event_paranoid",
    "kernel.randomize_va_space",
    "kernel.sysrq",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "net.core.bpf_jit_enable",
    "net.core.bpf_jit_harden",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.all.accept_source_route",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.all.log_martians",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.secure_redirects",
    "net.ipv4.conf.all.send_redirects",
    "net.ipv4.conf.default.accept_redirects",
    "net.ipv4.conf.default.accept_source_route",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.default.send_redirects",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.icmp_ignore_bogus_error_responses",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv6.conf.all.accept_ra",
    "net.ipv6.conf.all.accept_redirects",
    "net.ipv6.conf.all.accept_source_route",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "user.max_user_namespaces",
    "vm.mmap_min_addr",
    "vm.overcommit_memory",
    "vm.unprivileged_userfaultfd",
]
# Bit of kernel.tainted -> (letter, meaning), Documentation/admin-guide/tainted-kernels.
TAINTS = (
    ("P", "proprietary module"),
    ("F", "module force-loaded"),
    ("S", "processor out of specification"),
    ("R", "module force-unloaded"),
    ("M", "machine check"),
    ("B", "bad page"),
    ("U", "requested by userspace"),
    ("D", "died: oops or BUG"),
    ("A", "ACPI table overridden"),
    ("W", "warning issued"),
    ("C", "staging driver"),
    ("I", "firmware workaround"),
    ("O", "out-of-tree module"),
    ("E", "unsigned module"),
    ("L", "soft lockup"),
    ("K", "live patched"),
    ("X", "auxiliary, distribution defined"),
    ("T", "built with struct randomisation"),
    ("N", "in-kernel test ran"),
)
_SYSCTL_FOLDERS = ("/usr/lib/sysctl.d", "/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d")
_SECRET_WORDS = ("password", "passwd", "secret", "token", "key=")


class KernelFact(Asset, frozen=True, kw_only=True):
    """One property of the kernel, running or configured."""

    KEY = ("kind", "name")

    kind: Annotated[
        str,
        column(
            "Kind",
            "类型",
            "version, installed, boot, cmdline, sysctl, sysctl_configured, taint, lockdown, lsm",
        ),
    ]
    name: Annotated[str, column("Name", "名称")]
    value: Annotated[str, column("Value", "值")] = ""
    source: Annotated[str, column("Source", "来源", wide=True)] = ""


def collect(host: Host, notes: Notes) -> Iterator[KernelFact]:
    """Running state where there is one, and what is installed and configured everywhere."""
    yielded = False
    for part in (_running, _taint, _lockdown, _modules, _sysctls, _installed, _configured):
        try:
            for row in part(host, notes):
                yielded = True
                yield row
        except HostError as error:
            notes.add(part.__name__.strip("_"), error)
    if not yielded and host.kind != "live":
        raise NotLive(f"{host.name}: no running kernel and none installed")


def _running(host: Host, notes: Notes) -> Iterator[KernelFact]:
    release = text_of(host, "/proc/sys/kernel/osrelease", 256)
    if not release:
        if host.kind == "live":
            notes.add("/proc/sys/kernel/osrelease", "missing: is /proc mounted?")
        return
    yield KernelFact(
        kind="version", name="release", value=release, source="/proc/sys/kernel/osrelease"
    )
    build = text_of(host, "/proc/version", 4096)
    if build:
        yield KernelFact(kind="version", name="build", value=build, source="/proc/version")
    boot = text_of(host, "/proc/sys/kernel/random/boot_id", 64)
    if boot:
        path = "/proc/sys/kernel/random/boot_id"
        yield KernelFact(kind="boot", name="boot_id", value=boot, source=path)
    for name, value in parse_cmdline(text_of(host, "/proc/cmdline", 65536)).items():
        yield KernelFact(kind="cmdline", name=name, value=value, source="/proc/cmdline")


def parse_cmdline(text: str) -> dict[str, str]:
    """Boot parameters; repeated ones joined by spaces, values of secrets left out."""
    found: dict[str, str] = {}
    quoted = False
    words = [""]
    for char in text[:65536]:
        if char == '"':
            quoted = not quoted
        elif char.isspace() and not quoted:
            words.append("")
        else:
            words[-1] += char
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            continue
        if equals and any(secret in f"{name.lower()}=" for secret in _SECRET_WORDS):
            value = "(hidden)"
        found[name] = f"{found[name]} {value}" if found.get(name) and value else value
    return found


def parse_taint(text: str) -> list[tuple[str, str]]:
    """(letter, meaning) of each bit that is set. Raises ValueError."""
    value = int(text)
    return [
        TAINTS[bit] if bit < len(TAINTS) else (f"bit {bit}", "unknown taint")
        for bit in range(min(value.bit_length(), 64))
        if value >> bit & 1
    ]


def _taint(host: Host, notes: Notes) -> Iterator[KernelFact]:
    path = "/proc/sys/kernel/tainted"
    text = text_of(host, path, 32)
    if not text:
        return
    try:
        taints = parse_taint(text)
    except ValueError:
        notes.add(path, f"not a number: {text!r}")
        return
    yield KernelFact(kind="taint", name="tainted", value=text, source=path)
    for letter, meaning in taints:
        yield KernelFact(kind="taint", name=letter, value=meaning, source=path)


def _lockdown(host: Host, notes: Notes) -> Iterator[KernelFact]:
    path = "/sys/kernel/security/lockdown"
    text = text_of(host, path, 256)
    if text:
        chosen = text.partition("[")[2].partition("]")[0]
        yield KernelFact(kind="lockdown", name="lockdown", value=chosen or text, source=path)
    elif host.kind == "live" and not host.exists("/sys/kernel/security/lsm"):
        notes.add(
            "/sys/kernel/security",
            "not mounted: lockdown and the list of security modules cannot be told; "
            "mount -t securityfs none /sys/kernel/security",
        )


def _modules(host: Host, notes: Notes) -> Iterator[KernelFact]:
    path = "/sys/kernel/security/lsm"
    for name in text_of(host, path, 1024).split(","):
        if name:
            yield KernelFact(kind="lsm", name=name, value="active", source=path)
    for name, path in (
        ("selinux_mode", "/sys/fs/selinux/enforce"),
        ("apparmor_enabled", "/sys/module/apparmor/parameters/enabled"),
    ):
        try:
            value = text_of(host, path, 16)
        except HostError as error:
            notes.add(path, error)
            continue
        if value:
            named = {"0": "permissive", "1": "enforcing"}.get(value, value)
            yield KernelFact(kind="lsm", name=name, value=named, source=path)


def _sysctls(host: Host, notes: Notes) -> Iterator[KernelFact]:
    for name in SYSCTLS:
        path = f"/proc/sys/{name.replace('.', '/')}"
        try:
            value = from_bytes(host.head(path, 1024)).strip()
        except PathMissing:
            # This kernel has no such setting.
            continue
        except HostError as error:
            notes.add(path, error)
            continue
        yield KernelFact(kind="sysctl", name=name, value=value, source=path)


def _installed(host: Host, notes: Notes) -> Iterator[KernelFact]:
    del notes
    for top in ("/lib/modules", "/usr/lib/modules"):
        try:
            names = host.listdir(top)
        except PathMissing:
            continue
        for name in names[:100]:
            if host.exists(f"{top}/{name}/modules.dep") or host.exists(f"{top}/{name}/kernel"):
                yield KernelFact(kind="installed", name=name, source=f"{top}/{name}")
        return


def _configured(host: Host, notes: Notes) -> Iterator[KernelFact]:
    """The settings of `SYSCTLS` that files set, as sysctl --system would merge them."""
    files: dict[str, str] = {}
    for folder in _SYSCTL_FOLDERS:
        try:
            for name in host.listdir(folder)[:500]:
                if name.endswith(".conf"):
                    # A file of a later folder replaces its namesake.
                    files[name] = f"{folder}/{name}"
        except PathMissing:
            continue
        except HostError as error:
            notes.add(folder, error)
    merged: dict[str, KernelFact] = {}
    for path in [*(files[name] for name in sorted(files)), "/etc/sysctl.conf"]:
        try:
            lines = text_of(host, path, 1 << 18).splitlines()
        except HostError as error:
            notes.add(path, error)
            continue
        for line in lines:
            name, equals, value = line.strip().lstrip("-").partition("=")
            name = name.strip().replace("/", ".")
            if equals and name in SYSCTLS:
                merged[name] = KernelFact(
                    kind="sysctl_configured", name=name, value=value.strip(), source=path
                )
    yield from merged.values()


COLLECTOR = Collector("os.kernel", KernelFact, collect, 3600)
