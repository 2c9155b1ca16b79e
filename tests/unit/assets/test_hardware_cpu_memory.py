import os

from hauberk.assets import hardware_cpu_memory as module
from hauberk.host.memory import DictHost

CPU = (
    "processor\t: {n}\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nmicrocode\t: 0xa1\n"
    "physical id\t: {package}\ncore id\t\t: {core}\nflags\t\t: fpu nx smep avx\n\n"
)
FILES = {
    "/proc/cpuinfo": "".join(CPU.format(n=n, package=n // 4, core=n % 4 // 2) for n in range(8)),
    "/proc/meminfo": (
        "MemTotal:       2048 kB\nMemAvailable:   1024 kB\nSwapTotal:  4 kB\nSwapFree: 1 kB\n"
    ),
    "/proc/sys/kernel/arch": "x86_64\n",
    "/sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected\n",
    "/sys/devices/system/cpu/vulnerabilities/mds": "Vulnerable: no microcode\n",
    "/sys/devices/system/cpu/vulnerabilities/spectre_v2": "Mitigation: Retpolines; IBPB\n",
}


def test_packages_cores_and_threads(rows):
    found = rows(module, DictHost(FILES))
    assert [(r.component, r.name) for r in found] == [
        ("cpu", "cpu0"),
        ("cpu", "cpu1"),
        ("memory", "memory"),
        ("swap", "swap"),
    ]
    assert (found[0].cores, found[0].threads, found[0].model) == (2, 4, "EPYC")
    assert found[0].flags == ["nx", "smep"]
    assert found[0].vulnerable == ["mds: Vulnerable: no microcode"]
    assert found[0].mitigations == ["spectre_v2: Retpolines; IBPB"]
    assert (found[2].total_bytes, found[2].available_bytes) == (2 << 20, 1 << 20)
    assert found[3].total_bytes == 4096


def test_arm_has_no_packages(rows):
    text = "processor\t: 0\nCPU implementer\t: 0x41\nFeatures\t: fp bti\n\n" * 1
    text += text.replace(": 0\n", ": 1\n", 1)
    found = rows(module, DictHost({**FILES, "/proc/cpuinfo": text}))
    assert (found[0].name, found[0].cores, found[0].flags) == ("cpu0", 2, ["bti"])


def test_this_machine(live):
    found = live(module)
    assert sum(r.threads for r in found if r.component == "cpu") == os.cpu_count()
    memory = next(r for r in found if r.component == "memory")
    assert memory.total_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_files_only_is_not_applicable(collect):
    assert collect(module, DictHost())[1].outcome == "not_applicable"
    assert collect(module, DictHost(kind="live"))[1].outcome == "error"


def test_hostile_input(hostile):
    hostile(module, FILES)
