"""Builds the agent package once, and makes others out of it that differ in little."""

import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from tools.bundle import archive

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build/agent-bundle"
SITE = "lib/python3.11/hauberk"


def inputs():
    """What a package is made from."""
    for top in ("src/hauberk", "tools/bundle", "packaging", "locks", "bpf"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and "static" not in path.parts:
                yield path


def build():
    """The unpacked package 1.0.0; built anew only when an input changed. (tree, what was said)."""
    tree, said = BUILT / "tree", BUILT / "said"
    newest = max(path.stat().st_mtime for path in inputs())
    if not said.exists() or said.stat().st_mtime < newest:
        BUILT.mkdir(parents=True, exist_ok=True)
        argv = ["--out", BUILT, "--tree", tree, "--version", "1.0.0", "--sequence", "100"]
        done = subprocess.run(
            [sys.executable, "-m", "tools.bundle", *map(str, argv)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.write_text(done.stdout)
    return tree, said.read_text()


def other(tree, folder, version, sequence, edit=None):
    """A package like `tree` with another version, and one module changed: bytes of its .tar.xz.

    `edit`: (module file below hauberk/, function of its text).
    """
    made = folder / f"tree-{version}"
    shutil.copytree(tree, made, symlinks=True)
    changes = [
        ("__init__.py", lambda text: text.replace("1.0.0", version)),
        *([edit] if edit else []),
    ]
    for name, change in changes:
        path = made / SITE / name
        path.write_text(change(path.read_text()))
        py_compile.compile(
            str(path),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    facts = msgspec.json.decode((tree / "manifest.json").read_bytes())
    facts = {k: facts[k] for k in ("arch", "components")}
    (made / "manifest.json").write_bytes(
        archive.manifest(made, version=version, sequence=sequence, **facts)
    )
    target = folder / f"{version}.tar.xz"
    archive.tar_xz(made, target, preset=0)
    shutil.rmtree(made)
    return target.read_bytes()


def empty_root(folder, tree):
    """A root with a static busybox, an empty /proc and the package in slot a; nothing else."""
    for name in ("bin", "proc", "opt/hauberk/slots"):
        (folder / name).mkdir(parents=True)
    shutil.copy2("/bin/busybox", folder / "bin/busybox")
    (folder / "bin/sh").symlink_to("busybox")
    shutil.copytree(tree, folder / "opt/hauberk/slots/a", symlinks=True)
    return folder


def inside(root, *argv, **env):
    """A running program in `root`, which sees its own /proc; its pid is the program's."""
    script = f'mount -t proc proc {root}/proc && exec chroot {root} "$@"'
    return subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, "sh", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What a machine may say to its own interpreters must not reach ours.
        env={
            "PATH": os.environ["PATH"],
            "PYTHONHOME": "/nowhere",
            "PYTHONPATH": "/nowhere",
            "LD_LIBRARY_PATH": "/nowhere",
            **env,
        },
    )


def finish(process, timeout_s=60):
    """(status, output)."""
    out, _ = process.communicate(timeout=timeout_s)
    return process.returncode, out
