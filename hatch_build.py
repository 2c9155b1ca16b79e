"""Build hook: eBPF objects, the native reader of the sensor, and the console.

Each part is optional: what is missing gives one line that says what falls back. Outputs newer than
their inputs are left alone. `python hatch_build.py [--no-console]` builds in place, which is enough
for an editable install. HAUBERK_SKIP_CONSOLE=1 leaves the console out.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
MODULE = "hauberk.sensor._native._hb"
LIBRARIES = ("libbpf.so.1", "libelf.so.1", "libz.so.1")
BPF_ARCH = {"x86_64": "x86", "aarch64": "arm64"}
LICENCES = """\
Libraries beside this file are unchanged copies from the build machine's distribution:
libbpf.so.1  LGPL-2.1 or BSD-2-Clause  https://github.com/libbpf/libbpf
libelf.so.1  LGPL-3.0-or-later or GPL-2.0-or-later  https://sourceware.org/elfutils
libz.so.1    Zlib  https://zlib.net
"""


class Missing(Exception):
    """A part cannot be built here; the message says why and what falls back."""


def run(argv: list[str], what: str, fallback: str, cwd: Path | None = None) -> str:
    """Run a build tool and return its output. Raises Missing when it is absent or fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    except FileNotFoundError:
        raise Missing(f"{what}: {argv[0]} is not installed; {fallback}") from None
    if done.returncode:
        lines = [ln.strip() for ln in (done.stderr + done.stdout).splitlines() if ln.strip()]
        cause = next((ln for ln in lines if "error" in ln.lower()), lines[-1] if lines else "")
        raise Missing(f"{what}: {argv[0]} failed ({cause[:200]}); {fallback}")
    return done.stdout


def fresh(outputs: Iterable[Path], inputs: Iterable[Path]) -> bool:
    """Whether every output exists and is no older than the newest input."""
    newest = max((p.stat().st_mtime_ns for p in inputs), default=0)
    return all(p.exists() and p.stat().st_mtime_ns >= newest for p in outputs)


def put(source: Path, target: Path) -> None:
    """Copy so that a running agent never sees half a file."""
    part = target.with_name(target.name + ".part")
    shutil.copyfile(source, part)
    part.chmod(0o755 if ".so" in target.name else 0o644)
    part.replace(target)


def build_bpf(root: Path, out: Path) -> None:
    """Compile bpf/*.bpf.c into `out`. Raises Missing."""
    fallback = "the sensor falls back to tier D (proc connector and polling)"
    sources = sorted((root / "bpf").glob("*.bpf.c"))
    inputs = [*(root / "bpf").glob("*.[ch]"), Path(__file__)]
    if fresh([out / f"{s.name[:-2]}.o" for s in sources], inputs):
        return
    machine = platform.machine()
    arch = BPF_ARCH.get(machine)
    if arch is None:
        raise Missing(f"eBPF objects: {machine} is not supported; {fallback}")
    strip = next((s for s in ("llvm-strip", "llvm-strip-14") if shutil.which(s)), None)
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            built = Path(folder) / f"{source.name[:-2]}.o"
            flags = ["-g", "-O2", "-Wall", "-target", "bpf", f"-D__TARGET_ARCH_{arch}"]
            include = f"-I/usr/include/{machine}-linux-gnu"
            # BTF names the source files: wherever they lie, the object is the same.
            same = f"-ffile-prefix-map={root}=."
            run(
                ["clang", *flags, same, include, "-c", str(source), "-o", str(built)],
                "eBPF objects",
                fallback,
            )
            if strip:  # drops DWARF, keeps the BTF that CO-RE needs
                run([strip, "-g", str(built)], "eBPF objects", fallback)
            put(built, out / built.name)


def build_reader(root: Path, out: Path) -> None:
    """Compile bpf/reader.c with its cffi glue, and copy the libraries it needs. Raises Missing."""
    fallback = "the sensor falls back to tier D (proc connector and polling)"
    bpf = root / "bpf"
    target = out / f"{MODULE.rpartition('.')[2]}.abi3.so"
    outputs = [target, *(out / name for name in LIBRARIES), out / "LICENCES.txt"]
    if fresh(outputs, [bpf / "reader.c", bpf / "reader.h", bpf / "abi.h", Path(__file__)]):
        return
    try:
        from cffi import FFI  # noqa: PLC0415  (absent where only the console is built)
    except ImportError:
        raise Missing(f"native reader: cffi is not installed; {fallback}") from None
    header = (bpf / "reader.h").read_text(encoding="utf-8")
    declarations = header.partition("cffi: begin */")[2].partition("/* cffi: end")[0]
    ffi = FFI()
    ffi.cdef(re.sub(r"/\*.*?\*/", "", declarations, flags=re.DOTALL))
    ffi.set_source(MODULE, '#include "reader.h"')
    with tempfile.TemporaryDirectory() as folder:
        glue, built = Path(folder) / "glue.c", Path(folder) / target.name
        with contextlib.redirect_stdout(io.StringIO()):  # cffi announces the file it writes
            ffi.emit_c_code(str(glue))
        flags = ["-shared", "-fPIC", "-O2", "-fstack-protector-strong", "-Wl,-z,relro,-z,now"]
        flags += ["-s", f"-ffile-prefix-map={root}=.", f"-ffile-prefix-map={folder}=."]
        # RPATH, not RUNPATH: it also serves libbpf's own need of libelf.
        rpath = ["-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN"]
        includes = [f"-I{bpf}", f"-I{sysconfig.get_path('include')}"]
        sources = [str(glue), str(bpf / "reader.c")]
        run(
            ["gcc", *flags, *includes, *sources, "-o", str(built), *rpath, "-lbpf"],
            "native reader",
            fallback,
        )
        for name in LIBRARIES:
            path = Path(run(["gcc", f"-print-file-name={name}"], "native reader", fallback).strip())
            if not path.is_absolute():
                raise Missing(f"native reader: {name} was not found; {fallback}")
            put(path.resolve(), out / name)
        put(built, target)
    (out / "LICENCES.txt").write_text(LICENCES, encoding="utf-8")


def build_console(root: Path, _out: Path) -> None:
    """Build console/ into src/hauberk/api/static. Raises Missing."""
    console, static = root / "console", root / "src/hauberk/api/static"
    fallback = "the server runs without its console"
    if os.environ.get("HAUBERK_SKIP_CONSOLE") or not (console / "package.json").exists():
        return
    inputs: list[Path] = []
    for top, folders, names in os.walk(console):
        folders[:] = [f for f in folders if f not in {"node_modules", "dist"}]
        inputs += [Path(top) / name for name in names]
    if fresh([static / "index.html"], inputs):
        return
    if not fresh([console / "node_modules/.package-lock.json"], [console / "package-lock.json"]):
        run(["npm", "ci", "--no-audit", "--no-fund"], "console", fallback, cwd=console)
    run(["npm", "run", "build"], "console", fallback, cwd=console)
    if not (static / "index.html").exists():
        raise Missing(f"console: the build left no {static / 'index.html'}; {fallback}")
    os.utime(static / "index.html")


def build(root: Path = ROOT, *, console: bool = True) -> list[str]:
    """Build everything in place.

    Returns:
        One line for each part that could not be built; empty when all is there.
    """
    out = root / "src/hauberk/sensor/_native"
    out.mkdir(parents=True, exist_ok=True)
    parts: list[Callable[[Path, Path], None]] = [build_bpf, build_reader]
    if console:
        parts.append(build_console)
    notes = []
    for part in parts:
        try:
            part(root, out)
        except Missing as error:
            notes.append(str(error))
    return notes


def native_tag(root: Path) -> str | None:
    """Wheel tag when the native reader is in, None for a pure wheel."""
    if not (root / "src/hauberk/sensor/_native/_hb.abi3.so").exists():
        return None
    where = re.sub(r"[^0-9A-Za-z]", "_", sysconfig.get_platform())
    return f"cp311-abi3-{where}"


class NativeHook(BuildHookInterface[Any]):
    """Runs the build before files are gathered."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build in place, then tell hatchling what kind of wheel this is."""
        del version
        root = Path(self.root)
        for note in build(root):
            self.app.display_warning(f"hauberk build: {note}")
        tag = native_tag(root)
        if tag and self.target_name == "wheel":
            build_data["pure_python"] = False
            build_data["tag"] = tag


if __name__ == "__main__":
    for line in build(console="--no-console" not in sys.argv):
        print(f"hauberk build: {line}")
