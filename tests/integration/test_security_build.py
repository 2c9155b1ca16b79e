"""The build can be repeated: elsewhere, later, the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns("static", "_native", "__pycache__")


def built(place: Path) -> dict[str, str]:
    """SHA-256 of a wheel built from a copy of the source at `place`, and of its native parts."""
    for name in ("src", "bpf"):
        shutil.copytree(ROOT / name, place / name, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / name)
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("could not check: uv is not installed here")
    command = [str(uv), "build", "-q", "--wheel", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--python", sys.executable, "-o", "dist", "."],
        cwd=place,
        env={**os.environ, "HAUBERK_SKIP_CONSOLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    native = place / "src/hauberk/sensor/_native"
    files = [*(place / "dist").glob("*.whl"), *native.glob("*.o"), *native.glob("_hb*.so")]
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_two_builds_in_two_places_are_the_same(tmp_path: Path) -> None:
    if not shutil.which("clang"):
        pytest.skip("could not check: clang is not installed here")
    (tmp_path / "one").mkdir()
    (tmp_path / "another/place").mkdir(parents=True)
    one, two = built(tmp_path / "one"), built(tmp_path / "another/place")
    assert len(one) >= 4, one
    assert one == two
