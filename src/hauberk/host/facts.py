"""What a machine says of itself when it enrols and reports."""

from __future__ import annotations

import ipaddress

from hauberk.assets._machine import architecture, cpu_count, hostname, os_release, parse_meminfo
from hauberk.assets._platform import platform, text_or
from hauberk.errors import HostError
from hauberk.ports import Host
from hauberk.schema.link import WorkloadFacts

MAX_ADDRESSES = 64


def workload_facts(host: Host) -> WorkloadFacts:
    """Facts for display, never identity; what cannot be read is left empty, 0 or unknown.

    Addresses are the host's own, IPv4 before IPv6, without loopback and link-local ones.
    """
    try:
        _, release = os_release(host)
    except HostError:
        release = {}
    memory = parse_meminfo(text_or(host, "/proc/meminfo"))
    return WorkloadFacts(
        hostname=hostname(host) or host.name,
        machine_id=text_or(host, "/etc/machine-id"),
        os=release.get("ID", ""),
        os_version=release.get("VERSION_ID", "") or release.get("BUILD_ID", ""),
        kernel=text_or(host, "/proc/sys/kernel/osrelease"),
        arch=architecture(host),
        addresses=addresses(host),
        kind=platform(host).kind,
        cpus=cpu_count(host),
        memory_bytes=memory.get("MemTotal", 0),
    )


def addresses(host: Host) -> list[str]:
    """Own addresses from /proc/net/fib_trie and if_inet6, at most 64."""
    four = _local_ipv4(text_or(host, "/proc/net/fib_trie"))
    six: set[ipaddress.IPv6Address] = set()
    for line in text_or(host, "/proc/net/if_inet6").splitlines():
        digits = line.split(" ")[0]
        try:
            six.add(ipaddress.IPv6Address(bytes.fromhex(digits)))
        except ValueError:
            continue
    found = [str(a) for a in sorted(four) if not (a.is_loopback or a.is_link_local)]
    found += [str(a) for a in sorted(six) if not (a.is_loopback or a.is_link_local)]
    return found[:MAX_ADDRESSES]


def _local_ipv4(trie: str) -> set[ipaddress.IPv4Address]:
    """Leaves that the trie marks `/32 host LOCAL`."""
    found: set[ipaddress.IPv4Address] = set()
    leaf = ""
    for line in trie.splitlines():
        text = line.strip()
        if text.startswith("|-- "):
            leaf = text[4:]
        elif text.startswith("/32 host LOCAL") and leaf:
            try:
                found.add(ipaddress.IPv4Address(leaf))
            except ValueError:
                continue
    return found
