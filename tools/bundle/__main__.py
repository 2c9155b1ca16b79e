"""`python -m tools.bundle`: dist/hauberk-agent-<version>-linux-<arch>.tar.xz and the .deb.

The package carries its own loader, libc, interpreter and libraries, all from the build machine, and
needs nothing of the machine that it runs on but a Linux kernel.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hatch_build

from tools.bundle import archive, elf, modules

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/hauberk"
DEB_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
# What libc loads by name for users, hosts and DNS, as /etc/nsswitch.conf of the machine says.
NSS = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libnss_compat.so.2")


class Missing(Exception):
    """A part of the build machine is missing; the message is one line."""


def main(arguments: list[str]) -> int:
    """Build; 0, or 1 with one line about what is missing."""
    parser = argparse.ArgumentParser(prog="tools.bundle", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--version", default="", help="another version than the source's")
    parser.add_argument("--sequence", type=int, help="default: when the newest input was changed")
    parser.add_argument("--tree", type=Path, help="leave the unpacked package here as well")
    parser.add_argument("--no-deb", action="store_true")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="hauberk-bundle-") as work:
            lines = build(options, Path(work))
    except (Missing, ValueError, FileNotFoundError, elf.BadElf) as error:
        print(f"agent-bundle: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        print(f"agent-bundle: {error.cmd[0]}: {said[-1] if said else error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    print(f"built in {time.monotonic() - began:.0f} s")
    return 0


def build(options: argparse.Namespace, work: Path) -> list[str]:
    """Make the tree, then the archives; what to print."""
    arch = platform.machine()
    if arch not in DEB_ARCH:
        raise Missing(f"{arch} is not supported")
    if sys.version_info[:2] != (3, 11):
        raise Missing(f"needs CPython 3.11, this is {platform.python_version()}")
    for note in hatch_build.build(ROOT, console=False):
        raise Missing(note)
    own, dropped = modules.hauberk(SOURCE)
    version = options.version or _version()
    tree = work / "tree"
    components = _fill(tree, own, version)
    newest = int(max(path.stat().st_mtime for path in own))
    sequence = options.sequence or int(os.environ.get("SOURCE_DATE_EPOCH") or newest)
    facts = {"version": version, "sequence": sequence, "arch": arch, "components": components}
    _put(tree / "manifest.json", archive.manifest(tree, **facts))
    _try(tree, work / "state")
    if options.tree:
        shutil.rmtree(options.tree, ignore_errors=True)
        shutil.copytree(tree, options.tree, symlinks=True)
    target = options.out / f"hauberk-agent-{version}-linux-{arch}.tar.xz"
    size = sum(f.lstat().st_size for f in tree.rglob("*") if f.is_file())
    package = options.out / f"hauberk-agent_{version}_{DEB_ARCH[arch]}.deb"
    with ThreadPoolExecutor(1) as beside:
        compressing = beside.submit(archive.tar_xz, tree, target)
        if not options.no_deb:
            _deb(tree, work / "deb", package, version, size)
        digest = compressing.result()
    lines = [
        f"{target}  {target.stat().st_size / 1e6:.1f} MB, {size / 1e6:.1f} MB unpacked",
        f"version {version}, sequence {sequence}, SHA-256 {digest}",
        f"commands that need the server are left out: {', '.join(dropped)}",
    ]
    if not options.no_deb:
        lines.insert(1, f"{package}  {package.stat().st_size / 1e6:.1f} MB")
    return lines


def _fill(tree: Path, own: list[Path], version: str) -> list[dict[str, str]]:
    """Everything but the manifest; the components."""
    site = tree / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
    sources: list[tuple[bytes, str]] = []
    for path in own:
        relative = path.relative_to(SOURCE)
        data = path.read_bytes()
        if str(relative) == "__init__.py":
            data = re.sub(rb'__version__ = ".*"', f'__version__ = "{version}"'.encode(), data)
        _put(site / "hauberk" / relative, data, executable=".so" in path.name)
        if path.suffix == ".py":
            sources.append((data, "hauberk"))
    natives = [p for p in own if ".so" in p.name]
    components = [_product(version)]
    for name, wanted in modules.locked(ROOT / "locks/agent.txt"):
        if name == "pycparser":
            continue  # only for compiling
        components.append(_distribution(name, wanted))
        if name == "cffi":
            natives.append(_backend(site))
            continue
        for below, path in modules.distribution(name, wanted):
            _put(site / below, path.read_bytes(), executable=".so" in path.name)
            if path.suffix == ".py":
                sources.append((path.read_bytes(), below.replace("/", ".").rpartition(".")[0]))
            elif elf.is_elf(path):
                natives.append(path)
    for below, path in modules.standard_library(sources):
        _put(site / below, path.read_bytes(), executable=path.suffix == ".so")
        if path.suffix == ".so":
            natives.append(path)
    (site / "lib-dynload").mkdir(exist_ok=True)
    # The interpreter's build settings, of which only this one is asked for: where time zones lie.
    zones = {"TZPATH": sysconfig.get_config_var("TZPATH") or ""}
    settings = sysconfig._get_sysconfigdata_name()  # type: ignore[attr-defined]  # noqa: SLF001
    _put(site / f"{settings}.py", f"build_time_vars = {zones!r}\n".encode())
    components += _natives(tree, natives)
    _compile(site)
    _front_doors(tree)
    _licences(tree, components)
    unit = (ROOT / "packaging/hauberk-agent.service").read_bytes()
    _put(tree / "share/hauberk-agent.service", unit)
    return components


def _try(tree: Path, state: Path) -> None:
    """The package's own self-test, on this machine."""
    done = subprocess.run(
        [str(tree / "bin/hauberk"), "agent", "--selftest", "--data", str(state)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise Missing(f"the package does not run: {said[0] if said else done.returncode}")


def _version() -> str:
    found = re.search(r'__version__ = "(.+)"', (SOURCE / "__init__.py").read_text())
    if found is None:
        raise Missing("src/hauberk/__init__.py names no version")
    return found[1]


def _put(target: Path, data: bytes, *, executable: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(0o755 if executable else 0o644)


def _backend(site: Path) -> Path:
    found = list(Path(sysconfig.get_path("platlib")).glob("_cffi_backend*.so"))
    if not found:
        raise Missing("_cffi_backend is not installed: run `make setup`")
    _put(site / found[0].name, found[0].read_bytes(), executable=True)
    return found[0]


def _natives(tree: Path, natives: list[Path]) -> list[dict[str, str]]:
    """Loader, libc, interpreter and every library, into lib/; what they are."""
    interpreter = Path(os.path.realpath(sys.executable))
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    tops = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
    folders = [Path(f"/lib/{triplet}"), Path(f"/usr/lib/{triplet}"), *map(Path, tops)]
    extra = [f / name for name in NSS for f in folders[:2] if (f / name).exists()]
    found = elf.libraries([interpreter, *natives, *extra[:4]], folders)
    loader = Path(elf.Elf(interpreter).interpreter).resolve()
    found.pop(Path(elf.Elf(interpreter).interpreter).name, None)
    for name in NSS:
        for folder in folders[:2]:
            if (folder / name).exists():
                found[name] = (folder / name).resolve()
    # Named as `ps` shall show it: the kernel takes the name of what was executed.
    _put(tree / "lib/hauberk", loader.read_bytes(), executable=True)
    _put(tree / "lib/python", interpreter.read_bytes(), executable=True)
    for name, path in sorted(found.items()):
        # libc's own loader name is asked for by NEEDED: the running loader answers to it.
        if name != loader.name:
            _put(tree / "lib" / name, path.read_bytes(), executable=True)
    return _packages([interpreter, loader, *found.values()])


def _packages(files: list[Path]) -> list[dict[str, str]]:
    """The distribution's packages that own `files`."""
    if shutil.which("dpkg-query") is None:
        return [
            {"name": f.name, "version": "unknown", "kind": "library", "source": str(f)}
            for f in sorted(set(files))
        ]
    owners: dict[str, str] = {}
    for file in sorted(set(files)):
        for path in (str(file), str(file).removeprefix("/usr"), f"/usr{file}"):
            done = subprocess.run(
                ["dpkg-query", "-S", path], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                owners[done.stdout.split(":")[0]] = str(file)
                break
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *sorted(owners)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    versions = dict(line.split(" ", 1) for line in shown.splitlines())
    return [
        {
            "name": name,
            "version": versions[name],
            "kind": "interpreter" if name.startswith("python3") else "library",
            "licence": f"share/licences/{name}",
            "source": "Debian",
        }
        for name in sorted(versions)
    ]


def _product(version: str) -> dict[str, str]:
    return {
        "name": "hauberk",
        "version": version,
        "kind": "product",
        "licence": "Apache-2.0",
        "source": "",
    }


def _distribution(name: str, version: str) -> dict[str, str]:
    about = importlib.metadata.metadata(name)
    words = [*(about.get_all("License-Expression") or []), *(about.get_all("License") or [])]
    licence = words[0].split("\n")[0] if words else ""
    if not licence:
        kinds = [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
        licence = kinds[0].rpartition("::")[2].strip() if kinds else "see its licence file"
    return {
        "name": name,
        "version": version,
        "kind": "python",
        "licence": licence[:80],
        "source": "PyPI",
    }


def _licences(tree: Path, components: list[dict[str, str]]) -> None:
    _put(tree / "share/licences/hauberk", (ROOT / "LICENSE").read_bytes())
    for component in components:
        name = component["name"]
        if component["source"] == "Debian":
            text = Path(f"/usr/share/doc/{name}/copyright")
            if not text.exists():
                raise Missing(f"{text} is missing: the licence of {name} must go along")
            _put(tree / f"share/licences/{name}", text.read_bytes())
        elif component["kind"] == "python":
            for file in importlib.metadata.distribution(name).files or []:
                if re.search(r"\.dist-info/(licenses/|LICEN[CS]E|COPYING|NOTICE)", str(file)):
                    path = Path(str(file.locate()))
                    target = tree / f"share/licences/{name}" / path.name
                    _put(target, path.read_bytes())
    lines = [f"{c['name']} {c['version']}  {c.get('licence', '')}" for c in components]
    _put(tree / "share/licences/LIST", "\n".join(sorted(lines)).encode() + b"\n")


def _compile(site: Path) -> None:
    """Bytecode that is never compared with a source's time; own sources stay for tracebacks."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for path in sorted(site.rglob("*.py")):
        relative = path.relative_to(site)
        shown = f"<package>/{relative}"
        if relative.parts[0] == "hauberk":
            py_compile.compile(str(path), dfile=shown, doraise=True, invalidation_mode=unchecked)
            continue
        py_compile.compile(
            str(path),
            cfile=str(path.with_suffix(".pyc")),
            dfile=shown,
            doraise=True,
            invalidation_mode=unchecked,
        )
        path.unlink()
    for folder in site.rglob("__pycache__"):
        for file in folder.iterdir():
            file.chmod(0o644)
    for file in site.rglob("*.pyc"):
        file.chmod(0o644)


def _front_doors(tree: Path) -> None:
    if shutil.which("gcc") is None:
        raise Missing("gcc is not installed: it builds the static launcher")
    target = tree / "bin/hauberk"
    target.parent.mkdir()
    argv = ["gcc", "-static", "-Os", "-s", "-Wall", "-Wl,--build-id=none", "-o", str(target)]
    subprocess.run([*argv, str(ROOT / "tools/bundle/launch.c")], check=True, capture_output=True)
    target.chmod(0o755)
    for name in ("hauberk-launch", "python"):
        (target.parent / name).symlink_to("hauberk")


def _deb(tree: Path, folder: Path, target: Path, version: str, size: int) -> None:
    if shutil.which("dpkg-deb") is None:
        raise Missing("dpkg-deb is not installed; --no-deb leaves the .deb out")
    shutil.copytree(tree, folder / "opt/hauberk/package", symlinks=True)
    _put(
        folder / "lib/systemd/system/hauberk-agent.service",
        (ROOT / "packaging/hauberk-agent.service").read_bytes(),
    )
    command = folder / "usr/bin/hauberk"
    command.parent.mkdir(parents=True)
    command.symlink_to("/opt/hauberk/current/bin/hauberk")
    _put(folder / "usr/share/doc/hauberk-agent/copyright", (ROOT / "LICENSE").read_bytes())
    for path in sorted((ROOT / "packaging/deb").iterdir()):
        data = path.read_bytes()
        if path.name == "control":
            text = data.decode().format(
                version=version, arch=DEB_ARCH[platform.machine()], kib=size // 1024
            )
            data = text.encode()
        _put(folder / "DEBIAN" / path.name, data, executable=path.name != "control")
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    archive.deb(folder, target, archive.EPOCH)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
