"""The same eBPF objects on another kernel, in a throw-away virtual machine.

HAUBERK_TEST_KERNEL names a kernel image (a distribution's vmlinuz); without it this is skipped.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hauberk.sensor import native

ROOT = Path(__file__).parents[2]
KERNEL = os.environ.get("HAUBERK_TEST_KERNEL", "")
QEMU = shutil.which("qemu-system-x86_64")
LSMS = "lockdown,capability,landlock,yama,apparmor,bpf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not KERNEL, reason="HAUBERK_TEST_KERNEL names no kernel image"),
    pytest.mark.skipif(QEMU is None, reason="needs qemu-system-x86_64"),
]


def newc(name: str, mode: int, data: bytes, rdev: tuple[int, int] = (0, 0)) -> bytes:
    """One entry of a cpio archive."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What the machine printed."""
    folder = tmp_path_factory.mktemp("vm")
    objects = [native.FOLDER / f"{name}.bpf.o" for name in ("sensor", "lsm_probe")]
    if not all(path.exists() for path in objects):
        pytest.skip("the eBPF objects were not built")
    sources = [str(ROOT / "bpf/tester/vm_init.c"), str(ROOT / "bpf/reader.c")]
    init = folder / "init"
    libraries = ["-lbpf", "-lelf", "-lz"]
    built = subprocess.run(
        ["gcc", "-O1", "-static", f"-I{ROOT / 'bpf'}", "-o", str(init), *sources, *libraries],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"cannot link statically: {built.stderr[-300:]}")
    archive = newc("dev", 0o40755, b"") + newc("proc", 0o40755, b"") + newc("sys", 0o40755, b"")
    archive += newc("dev/console", 0o20600, b"", (5, 1)) + newc("init", 0o100755, init.read_bytes())
    for path in objects:
        archive += newc(path.name, 0o100644, path.read_bytes())
    initrd = folder / "initrd.gz"
    initrd.write_bytes(gzip.compress(archive + newc("TRAILER!!!", 0, b""), 1))
    machine = ["-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-no-reboot"]
    append = ["-append", f"console=ttyS0 quiet panic=1 lsm={LSMS}"]
    done = subprocess.run(
        [QEMU, *machine, "-kernel", KERNEL, "-initrd", str(initrd), *append],
        capture_output=True,
        check=False,
        timeout=180,
        stdin=subprocess.DEVNULL,
    )
    found = done.stdout.decode("utf-8", "replace").splitlines()
    assert "done" in found, found[-20:]
    return found


def test_lsm_programs_are_taken(lines):
    assert any(line.endswith("lsm attached") for line in lines)


def test_exec_with_long_arguments(lines):
    (run,) = [line for line in lines if line.startswith("exec ")]
    total = len("/init") + 1 + len("child") + 1 + 3 * 100_000
    assert run == f"exec path=init args={total} comm=init parent=1/init"
    parts = [line for line in lines if line.startswith("args ")]
    assert sum(int(p.split("bytes=")[1].split()[0]) for p in parts) == total - 16384
    assert all(p.endswith("flags=0") for p in parts)
    assert f"exit status={7 << 8} parent=1" in lines


def test_connection(lines):
    assert [line for line in lines if line.startswith(("sock ", "connected "))] == [
        "sock kind=5 pid=1 ports=8080,6 from=127.1",
        "sock kind=4 pid=1 ports=8080,6 from=127.1",
        "connected port=known",
        "sock kind=6 pid=0 ports=8080,6 from=127.1",
    ]
    assert "lost rc=0 skipped=0" in lines
