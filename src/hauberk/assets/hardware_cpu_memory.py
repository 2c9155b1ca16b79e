"""Processors, memory and swap; which CPU weaknesses the kernel says it mitigates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from ._machine import architecture, parse_meminfo
from ._platform import live_text, text_of

_WEAKNESSES = "/sys/devices/system/cpu/vulnerabilities"
# Flags that security features depend on.
_FLAGS = frozenset(
    [
        "nx",
        "smep",
        "smap",
        "umip",
        "pku",
        "ospke",
        "ibt",
        "user_shstk",
        "sev",
        "sev_es",
        "sev_snp",
        "tdx_guest",
        "sgx",
        "vmx",
        "svm",
        "aes",
        "rdrand",
        "rdseed",
        "hypervisor",
        "pauth",
        "bti",
        "mte",
        "paca",
        "pacg",
    ]
)


class CpuMemory(Asset, frozen=True, kw_only=True):
    """A processor package, or the memory or swap of the machine."""

    KEY = ("component", "name")
    VOLATILE = frozenset({"available_bytes"})

    component: Annotated[str, column("Component", "部件", "cpu, memory or swap")]
    name: Annotated[str, column("Name", "名称")]
    model: Annotated[str, column("Model", "型号")] = ""
    vendor: Annotated[str, column("Vendor", "厂商")] = ""
    arch: Annotated[str, column("Architecture", "架构")] = ""
    cores: Annotated[int | None, column("Cores", "核心数")] = None
    threads: Annotated[int | None, column("Threads", "线程数")] = None
    microcode: Annotated[str, column("Microcode", "微码版本", wide=True)] = ""
    flags: Annotated[list[str], column("Security flags", "安全特性", wide=True)] = []
    vulnerable: Annotated[
        list[str], column("Not mitigated", "未缓解漏洞", "CPU weaknesses left open by the kernel")
    ] = []
    mitigations: Annotated[list[str], column("Mitigations", "缓解措施", wide=True)] = []
    total_bytes: Annotated[int | None, column("Size", "容量", "bytes")] = None
    available_bytes: Annotated[int | None, column("Available", "可用", "bytes")] = None


def collect(host: Host, notes: Notes) -> Iterator[CpuMemory]:
    """One row per processor package, then memory and swap."""
    packages = parse_cpuinfo(live_text(host, "/proc/cpuinfo"))
    vulnerable, mitigations = _weaknesses(host, notes)
    arch = architecture(host)
    for name, cpu in packages.items():
        yield CpuMemory(
            component="cpu",
            name=name,
            model=cpu.get("model name")
            or cpu.get("Model")
            or cpu.get("cpu")
            or cpu.get("uarch", ""),
            vendor=cpu.get("vendor_id") or cpu.get("CPU implementer", ""),
            arch=arch,
            cores=int(cpu["cores"]),
            threads=int(cpu["threads"]),
            microcode=cpu.get("microcode", ""),
            flags=sorted(_FLAGS & set((cpu.get("flags") or cpu.get("Features", "")).split())),
            vulnerable=vulnerable,
            mitigations=mitigations,
        )
    memory = parse_meminfo(live_text(host, "/proc/meminfo"))
    if "MemTotal" not in memory:
        notes.add("/proc/meminfo", "no MemTotal in it")
        return
    yield CpuMemory(
        component="memory",
        name="memory",
        total_bytes=memory["MemTotal"],
        available_bytes=memory.get("MemAvailable"),
    )
    if memory.get("SwapTotal"):
        yield CpuMemory(
            component="swap",
            name="swap",
            total_bytes=memory["SwapTotal"],
            available_bytes=memory.get("SwapFree"),
        )


def parse_cpuinfo(text: str) -> dict[str, dict[str, str]]:
    """Processor packages by name: the first processor's fields, "cores" and "threads" counted."""
    packages: dict[str, dict[str, str]] = {}
    cores: dict[str, set[str]] = {}
    for block in text.split("\n\n"):
        fields = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip()] = value.strip()
        if "processor" not in fields:
            continue
        name = f"cpu{fields.get('physical id', '0')}"
        package = packages.setdefault(name, fields)
        package["threads"] = str(int(package.get("threads", "0")) + 1)
        cores.setdefault(name, set()).add(fields.get("core id", fields["processor"]))
        package["cores"] = str(len(cores[name]))
    return packages


def _weaknesses(host: Host, notes: Notes) -> tuple[list[str], list[str]]:
    vulnerable: list[str] = []
    mitigations: list[str] = []
    try:
        names = host.listdir(_WEAKNESSES)
    except PathMissing:
        return vulnerable, mitigations
    except HostError as error:
        notes.add(_WEAKNESSES, error)
        return vulnerable, mitigations
    for name in names[:200]:
        try:
            state = text_of(host, f"{_WEAKNESSES}/{name}", 1024)
        except HostError as error:
            notes.add(f"{_WEAKNESSES}/{name}", error)
            continue
        if state.startswith("Vulnerable"):
            vulnerable.append(f"{name}: {state}")
        elif state.startswith("Mitigation"):
            mitigations.append(f"{name}: {state.partition(': ')[2]}")
    return vulnerable, mitigations


COLLECTOR = Collector("hardware.cpu_memory", CpuMemory, collect, 3600)
