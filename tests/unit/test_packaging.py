"""What the extras weigh and what a wheel holds."""

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_MB = 60


def locked(name):
    text = (ROOT / f"locks/{name}.txt").read_text()
    for line in text.splitlines():
        match = re.match(r"([a-z0-9._-]+)==([^ ;\\]+)(?:\s*;\s*([^\\]+))?", line)
        if match:
            marker = (match[3] or "").strip()
            if "win32" in marker and "!=" not in marker:
                continue
            yield match[1], match[2]


def installed_bytes(distribution):
    files = importlib.metadata.distribution(distribution).files or []
    return sum(Path(f.locate()).stat().st_size for f in files if Path(f.locate()).is_file())


def test_the_agent_extra_stays_small():
    sizes = {}
    for name, _ in locked("agent"):
        try:
            sizes[name] = installed_bytes(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a lock for every platform also names what this one does not need
    own = sum(f.stat().st_size for f in (ROOT / "src/hauberk").rglob("*.py"))
    native = ROOT / "src/hauberk/sensor/_native"
    own += sum(f.stat().st_size for f in native.rglob("*") if f.is_file())
    assert "msgspec" in sizes
    assert "cryptography" in sizes
    assert (sum(sizes.values()) + own) / 1e6 < LIMIT_MB, sizes


def test_every_locked_dependency_has_hashes_and_no_index():
    for lock in (ROOT / "locks").glob("*.txt"):
        text = lock.read_text()
        assert "--index-url" not in text
        assert "://" not in text
        for line in text.splitlines():
            if "==" in line and not line.startswith(" "):
                assert line.rstrip().endswith("\\"), f"{lock.name}: {line} has no hash"


def test_the_agent_lock_is_a_part_of_the_development_lock():
    development = dict(locked("dev"))
    for name, version in locked("agent"):
        assert development.get(name) == version
