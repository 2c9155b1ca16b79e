from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path):
    """A copy of what the build reads."""
    shutil.copytree(ROOT / "bpf", tmp_path / "bpf")
    return tmp_path


def test_without_compilers_each_part_gives_one_line(hook, tree, monkeypatch):
    monkeypatch.setenv("PATH", str(tree))
    notes = hook.build(tree, console=False)
    assert [n.partition(":")[0] for n in notes] == ["eBPF objects", "native reader"]
    assert all("is not installed; the sensor falls back to tier D" in n for n in notes)
    assert hook.native_tag(tree) is None


def test_a_compiler_that_fails_is_told_with_its_error(hook, tree):
    (tree / "bpf/sensor.bpf.c").write_text("#error broken here\n")
    notes = hook.build(tree, console=False)
    assert "eBPF objects" in notes[0]
    if shutil.which("clang"):
        assert "broken here" in notes[0]


@pytest.mark.skipif(
    not (shutil.which("clang") and shutil.which("gcc")), reason="needs clang and gcc"
)
def test_builds_all_and_then_leaves_it_alone(hook, tree):
    if notes := hook.build(tree, console=False):
        pytest.skip(f"cannot build here: {notes}")
    out = tree / "src/hauberk/sensor/_native"
    assert {p.name for p in out.iterdir()} == {
        "_hb.abi3.so",
        "LICENCES.txt",
        "libbpf.so.1",
        "libelf.so.1",
        "libz.so.1",
        "lsm_probe.bpf.o",
        "sensor.bpf.o",
    }
    assert hook.native_tag(tree).startswith("cp311-abi3-linux_")
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    assert hook.build(tree, console=False) == []
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before
    os.utime(tree / "bpf/sock.h", ns=(2**62, 2**62))
    hook.build(tree, console=False)
    changed = {p.name for p in out.iterdir() if p.stat().st_mtime_ns != before[p]}
    assert changed == {"sensor.bpf.o", "lsm_probe.bpf.o"}


def test_the_console_is_built_only_when_it_is_there_and_stale(hook, tmp_path, monkeypatch):
    monkeypatch.delenv("HAUBERK_SKIP_CONSOLE", raising=False)
    ran = []

    def run(argv, what, fallback, cwd=None):
        ran.append(argv[1])
        (tmp_path / "src/hauberk/api/static").mkdir(parents=True, exist_ok=True)
        (tmp_path / "src/hauberk/api/static/index.html").write_text("x")
        return ""

    monkeypatch.setattr(hook, "run", run)
    hook.build_console(tmp_path, tmp_path)
    assert ran == []
    (tmp_path / "console/src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "src/main.ts"):
        (tmp_path / "console" / name).write_text("{}")
    hook.build_console(tmp_path, tmp_path)
    assert ran == ["ci", "run"]
    hook.build_console(tmp_path, tmp_path)
    assert ran == ["ci", "run"]
    os.utime(tmp_path / "console/src/main.ts", ns=(2**62, 2**62))
    monkeypatch.setenv("HAUBERK_SKIP_CONSOLE", "1")
    hook.build_console(tmp_path, tmp_path)
    assert ran == ["ci", "run"]
    monkeypatch.delenv("HAUBERK_SKIP_CONSOLE")
    hook.build_console(tmp_path, tmp_path)
    assert ran[2:] == ["ci", "run"]


def test_a_console_that_cannot_be_built_is_told(hook, tmp_path, monkeypatch):
    monkeypatch.delenv("HAUBERK_SKIP_CONSOLE", raising=False)
    (tmp_path / "console").mkdir()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "console" / name).write_text("{}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(hook.Missing, match="npm is not installed; the server runs without its"):
        hook.build_console(tmp_path, tmp_path)
