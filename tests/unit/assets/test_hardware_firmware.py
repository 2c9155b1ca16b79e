import os

from hauberk.assets import hardware_firmware as module
from hauberk.host.memory import DictHost

DMI = "/sys/class/dmi/id"
SECURE = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
FILES = {
    f"{DMI}/bios_vendor": "SeaBIOS\n",
    f"{DMI}/bios_version": "1.16\n",
    f"{DMI}/bios_date": "04/01/2014\n",
    f"{DMI}/sys_vendor": "QEMU\n",
    f"{DMI}/product_name": "Standard PC\n",
    f"{DMI}/product_serial": "S-1\n",
    SECURE: b"\x06\0\0\0\x01",
    "/sys/class/tpm/tpm0/tpm_version_major": "2\n",
    "/proc/cpuinfo": "flags : hypervisor\n",
}


def test_parts(rows):
    found = {r.component: r for r in rows(module, DictHost(FILES))}
    assert set(found) == {"bios", "system", "boot", "tpm0", "platform"}
    assert (found["bios"].vendor, found["bios"].version) == ("SeaBIOS", "1.16")
    assert (found["system"].product, found["system"].serial) == ("Standard PC", "S-1")
    assert (found["boot"].product, found["boot"].state) == ("UEFI", "secure boot on")
    assert (found["tpm0"].version, found["tpm0"].state) == ("2", "present")
    assert (found["platform"].state, found["platform"].product) == ("vm", "qemu")
    assert found["platform"].evidence == ["DMI says QEMU"]


def test_secure_boot_states(rows):
    def state(files):
        found = rows(module, DictHost({"/sys/class/net/lo/mtu": "1", **files}))
        return next(r.state for r in found if r.component == "boot")

    assert state({SECURE: b"\x06\0\0\0\0"}) == "secure boot off"
    assert state({SECURE: b"\x06\0"}) == "secure boot unknown"
    assert state({"/sys/firmware/efi/systab": ""}) == "secure boot unknown"
    assert state({}) == "secure boot impossible"


def test_a_serial_that_is_denied_is_noted(collect):
    found, proof = collect(module, DictHost(FILES, denied={f"{DMI}/product_serial"}))
    assert proof.outcome == "partial"
    assert proof.problems[0].where == f"{DMI}/product_serial"
    assert next(r for r in found if r.component == "system").serial == ""


def test_this_machine(live):
    found = {r.component: r for r in live(module)}
    efi = os.path.exists("/sys/firmware/efi")
    assert found["boot"].product == ("UEFI" if efi else "not UEFI")
    with open("/proc/cpuinfo") as file:
        virtual = " hypervisor " in file.read()
    assert (found["platform"].state in ("vm", "container")) == virtual


def test_files_only_is_not_applicable(collect):
    assert collect(module, DictHost({"/etc/passwd": ""}))[1].outcome == "not_applicable"


def test_hostile_input(hostile):
    hostile(module, FILES)
