import os

from hauberk.assets import hardware_nic as module
from hauberk.host.memory import DictHost

TOP = "/sys/class/net"
FILES = {
    f"{TOP}/eth0/address": "02:00:00:00:00:01\n",
    f"{TOP}/eth0/ifindex": "2\n",
    f"{TOP}/eth0/iflink": "2\n",
    f"{TOP}/eth0/flags": "0x1103\n",
    f"{TOP}/eth0/type": "1\n",
    f"{TOP}/eth0/mtu": "1500\n",
    f"{TOP}/eth0/speed": "10000\n",
    f"{TOP}/eth0/operstate": "up\n",
    f"{TOP}/eth0/device/vendor": "0x8086\n",
    f"{TOP}/eth0/device/device": "0x1572\n",
    f"{TOP}/lo/address": "00:00:00:00:00:00\n",
    f"{TOP}/lo/ifindex": "1\n",
    f"{TOP}/lo/iflink": "1\n",
    f"{TOP}/lo/type": "772\n",
    f"{TOP}/veth1/ifindex": "9\n",
    f"{TOP}/veth1/iflink": "8\n",
    f"{TOP}/eth0.5/ifindex": "10\n",
    f"{TOP}/eth0.5/iflink": "2\n",
    f"{TOP}/eth0.5/uevent": "DEVTYPE=vlan\n",
    f"{TOP}/bonding_masters": "\n",
}
LINKS = {f"{TOP}/eth0/device/driver": "../../bus/pci/drivers/i40e"}


def test_cards(rows):
    found = {r.name: r for r in rows(module, DictHost(FILES, links=LINKS))}
    assert set(found) == {"eth0", "eth0.5", "lo"}
    card = found["eth0"]
    assert (card.kind, card.link_type, card.driver, card.speed_mbps, card.mtu) == (
        "physical",
        "ethernet",
        "i40e",
        10000,
        1500,
    )
    assert (card.vendor_id, card.device_id, card.promiscuous) == ("0x8086", "0x1572", True)
    assert (found["lo"].mac, found["lo"].kind, found["lo"].promiscuous) == ("", "virtual", None)


def test_this_machine(live):
    found = {r.name: r for r in live(module)}
    assert found["lo"].link_type == "loopback"
    physical = {n for n in os.listdir(TOP) if os.path.exists(f"{TOP}/{n}/device")}
    assert {n for n, r in found.items() if r.kind == "physical"} == physical
    for name in physical:
        with open(f"{TOP}/{name}/address") as file:
            assert found[name].mac == file.read().strip()


def test_files_only_is_not_applicable(collect):
    assert collect(module, DictHost())[1].outcome == "not_applicable"


def test_hostile_input(hostile):
    hostile(module, FILES, links=LINKS)
