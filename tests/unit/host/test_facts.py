import os
import socket
import subprocess

import pytest

from hauberk.host.facts import addresses, workload_facts
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost

ID = "0123456789abcdef" * 4
RELEASE = 'ID=debian\nVERSION_ID="12"\n'
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.1.0.0/24 2 0 2
        |-- 10.1.0.0
           /24 link UNICAST
        |-- 10.1.0.7
           /32 host LOCAL
        |-- 10.1.0.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
     |-- 10.1.0.7
        /32 host LOCAL
     |-- 999.1.1.1
        /32 host LOCAL
"""
INET6 = (
    "00000000000000000000000000000001 01 80 10 80       lo\n"
    "20010db8000000000000000000000007 02 40 00 80     eth0\n"
    "fe8000000000000000fc00fffe000001 02 40 20 80     eth0\n"
    "zz nonsense\n"
)


def base(**more):
    return {
        "/proc/sys/kernel/hostname": "box\n",
        "/proc/sys/kernel/osrelease": "6.1.0-1-amd64\n",
        "/proc/sys/kernel/arch": "x86_64\n",
        "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vme\n\nprocessor\t: 1\nflags\t: fpu\n",
        "/proc/meminfo": "MemTotal:        1024 kB\n",
        "/etc/os-release": RELEASE,
        "/etc/machine-id": "m\n",
        "/proc/mounts": "/dev/sda1 / ext4 rw 0 0\n",
        **more,
    }


def test_facts_of_this_machine_agree_with_other_sources():
    facts = workload_facts(LiveHost())
    assert facts.hostname == socket.gethostname()
    assert facts.kernel == os.uname().release
    assert facts.arch == os.uname().machine
    assert facts.cpus == os.cpu_count()
    assert facts.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    listed = subprocess.run(
        ["ip", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True, check=True
    )
    words = [line.split()[3].partition("/")[0] for line in listed.stdout.splitlines()]
    assert set(facts.addresses) == set(words)
    assert facts.kind != "unknown"


def test_facts_of_a_dict():
    facts = workload_facts(
        DictHost(base(**{"/proc/net/fib_trie": TRIE, "/proc/net/if_inet6": INET6}))
    )
    assert facts.hostname == "box"
    assert (facts.os, facts.os_version, facts.machine_id) == ("debian", "12", "m")
    assert (facts.cpus, facts.memory_bytes) == (2, 1024 * 1024)
    assert facts.addresses == ["10.1.0.7", "2001:db8::7"]
    assert facts.kind == "physical"


def test_nothing_known_is_not_made_up():
    facts = workload_facts(DictHost(name="empty"))
    assert facts.hostname == "empty"
    assert (facts.kind, facts.cpus, facts.memory_bytes, facts.addresses) == ("unknown", 0, 0, [])


def test_denied_files_leave_gaps_only():
    facts = workload_facts(
        DictHost(base(), denied={"/etc/os-release", "/proc/meminfo", "/etc/machine-id"})
    )
    assert (facts.os, facts.memory_bytes, facts.machine_id) == ("", 0, "")
    assert facts.hostname == "box"


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe" * 999, b"|-- \n/32 host LOCAL\n", b"|-- 1.2"])
def test_hostile_tables_give_no_addresses(junk):
    host = DictHost({"/proc/net/fib_trie": junk, "/proc/net/if_inet6": junk})
    assert addresses(host) == []


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"/proc/cpuinfo": "flags\t: fpu hypervisor\n"}, "vm"),
        ({"/sys/class/dmi/id/product_name": "KVM\n"}, "vm"),
        ({"/sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, "vm"),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "/sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "vm",
        ),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "/sys/class/dmi/id/product_name": "Surface Laptop\n",
            },
            "physical",
        ),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
                "/sys/class/dmi/id/product_name": "c5.metal\n",
            },
            "physical",
        ),
        ({"/sys/hypervisor/type": "xen\n"}, "vm"),
        ({"/run/.containerenv": ""}, "container"),
        ({"/run/systemd/container": "lxc\n"}, "container"),
        ({"/proc/1/cgroup": f"0::/docker/{ID}\n"}, "container"),
        ({"/.dockerenv": ""}, "physical"),
        (
            {"/.dockerenv": "", "/proc/mounts": "overlay / overlay rw,lowerdir=/x 0 0\n"},
            "container",
        ),
        (
            {"/proc/mounts": "overlay / overlay rw,lowerdir=/var/lib/containerd/s/1/fs 0 0\n"},
            "container",
        ),
    ],
)
def test_kind_of_machine(files, kind):
    assert workload_facts(DictHost(base(**files))).kind == kind
