import json
import os
import subprocess

import pytest
from procfs import run

from hauberk.assets.network_interface import (
    COLLECTOR,
    Interface,
    parse_fib_trie,
    parse_if_inet6,
    parse_route4,
    parse_route6,
)
from hauberk.errors import NotLive
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost

ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    "eth1\t0000000A\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0\n"
)
TRIE = (
    "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
    "     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n"
    "     |-- 198.51.100.9\n        /32 host LOCAL\n"
)
INET6 = (
    "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
    "00000000000000000000000000000001 01 80 10 80       lo\n"
)
ROUTE6 = (
    "00000000000000000000000000000000 00 " + "0" * 32 + " 00 fd000000000000000000000000000001 00000400 1 0 00000003 eth0\n"
    "fd000000000000000000000000000002 80 " + "0" * 32 + " 00 " + "0" * 32 + " 00000000 1 0 80200001 eth0\n"
    "ff000000000000000000000000000000 08 " + "0" * 32 + " 00 " + "0" * 32 + " 00000100 1 0 00000001 eth0\n"
)  # fmt: skip


def test_rows_by_kind():
    host = DictHost(
        {
            "/proc/net/route": ROUTE,
            "/proc/net/fib_trie": TRIE,
            "/proc/net/if_inet6": INET6,
            "/proc/net/ipv6_route": ROUTE6,
            "/sys/class/net/eth0/mtu": "1500\n",
            "/sys/class/net/eth0/address": "02:fc:00:00:00:01\n",
            "/sys/class/net/eth0/operstate": "up\n",
            "/sys/class/net/bonding_masters": "\n",
        }
    )
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert rows == [
        Interface(kind="interface", interface="eth0", mac="02:fc:00:00:00:01", mtu=1500, state="up"),
        Interface(kind="address", interface="lo", family="ipv4", address="127.0.0.1", prefix=8, scope="host"),
        Interface(kind="address", interface="eth0", family="ipv4", address="192.0.2.2", prefix=24, scope="global"),
        Interface(kind="address", interface="", family="ipv4", address="198.51.100.9", prefix=-1, scope="global"),
        Interface(kind="address", interface="eth0", family="ipv6", address="fe80::fc:ff:fe00:1", prefix=64, scope="link"),
        Interface(kind="address", interface="lo", family="ipv6", address="::1", prefix=128, scope="host"),
        Interface(kind="route", interface="eth0", family="ipv4", address="0.0.0.0", prefix=0, gateway="192.0.2.1", metric=100),
        Interface(kind="route", interface="eth0", family="ipv4", address="192.0.2.0", prefix=24),
        Interface(kind="route", interface="eth0", family="ipv6", address="::", prefix=0, gateway="fd00::1", metric=1024),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", ["", "\n" * 100_000, "x " * 50_000, "\U0010ff80" * 999, "a b c d e f g h i j\n"]
)
def test_hostile_tables(content):
    assert list(parse_route4(content)) == []
    assert parse_fib_trie(content) == []
    assert list(parse_if_inet6(content)) == []
    assert list(parse_route6(content)) == []
    assert parse_fib_trie("|-- 999.1.1.1\n/32 host LOCAL\n|-- x\n/32 host LOCAL\n") == []


def test_refused_table_is_a_problem():
    host = DictHost({"/proc/1/x": ""}, denied=["/proc/net/route", "/sys/class/net"])
    rows, problems = run(COLLECTOR, host)
    assert rows == []
    assert {p.where for p in problems} == {"/proc/net/route", "/sys/class/net"}


def test_needs_a_running_machine():
    with pytest.raises(NotLive):
        run(COLLECTOR, DictHost({}))


def device_folders():
    return {n for n in os.listdir("/sys/class/net") if os.path.isdir(f"/sys/class/net/{n}")}


def said_addresses():
    said = json.loads(subprocess.check_output(["ip", "-j", "addr", "show"]))
    return {(i["ifname"], a["local"], a["prefixlen"]) for i in said for a in i["addr_info"]}


def test_live_against_iproute():
    # Other tests make and remove interfaces meanwhile: asked before and after.
    before, links = said_addresses(), device_folders()
    rows, _ = run(COLLECTOR, LiveHost())
    after, links_after = said_addresses(), device_folders()
    found = {(r.interface, r.address, r.prefix) for r in rows if r.kind == "address"}
    assert before & after <= found <= before | after
    assert found
    names = {r.interface for r in rows if r.kind == "interface"}
    assert links & links_after <= names <= links | links_after
    routes = json.loads(subprocess.check_output(["ip", "-4", "-j", "route", "show"]))
    default = [r["gateway"] for r in routes if r["dst"] == "default"]
    shown = [r.gateway for r in rows if (r.kind, r.family, r.prefix) == ("route", "ipv4", 0)]
    assert shown == default
