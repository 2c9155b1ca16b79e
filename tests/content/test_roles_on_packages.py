"""Roles on real Debian packages: unpacked, collected through RootHost, exactly tagged.

The cases are data, in packages.yaml. Packages come from `apt-get download` and are kept in
~/.cache/hauberk-tests/debs (HAUBERK_TEST_DEBS names another folder).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from hauberk.assets.runtime_process import Process
from hauberk.content.role import parse
from hauberk.engines.inventory.ownership import owners
from hauberk.engines.inventory.roles import tags
from hauberk.host.clock import SystemClock
from hauberk.host.collect import collectors, run
from hauberk.host.root import RootHost
from hauberk.host.shipped import shipped

CASES = yaml.safe_load((Path(__file__).parent / "packages.yaml").read_text())
CACHE = Path(os.environ.get("HAUBERK_TEST_DEBS") or Path.home() / ".cache/hauberk-tests/debs")
SUBCLASSES = ("software.os_package", "persistence.service", "os.module")
ROLES = [parse(name, data) for name, data in shipped("roles")]

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")),
    reason="needs apt-get and dpkg-deb for real packages",
)


def cached(package):
    return next(iter(sorted(CACHE.glob(f"{package}_*.deb"), reverse=True)), None)


def fetch(packages):
    """Download into the cache; returns what apt-get says when it fails."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        done = subprocess.run(
            ["apt-get", "-q", "download", *packages],
            cwd=partial,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        for deb in Path(partial).glob("*.deb"):
            deb.replace(CACHE / deb.name)
    return done.stderr.strip()[-300:]


@pytest.fixture(scope="module", autouse=True)
def _all_at_once():
    """Starting apt-get costs more than a small package: ask once, then only for the rest."""
    missing = sorted({p for case in CASES for p in case["packages"] if cached(p) is None})
    if missing:
        fetch(missing)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    for top in ("bin", "sbin", "lib"):
        (folder / f"usr/{top}").mkdir(parents=True)
        (folder / top).symlink_to(f"usr/{top}")
    yield folder
    shutil.rmtree(folder)


def unpack(package, root):
    """Install a package's files and dpkg's record of them, without running its scripts."""
    said = "" if cached(package) else fetch([package])
    deb = cached(package)
    if deb is None:
        pytest.skip(f"no package {package}: {said}")
    control = subprocess.run(
        ["dpkg-deb", "-f", deb], check=True, capture_output=True, text=True
    ).stdout
    fields = dict(line.split(": ", 1) for line in control.splitlines() if ": " in line)
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True, exist_ok=True)
    same = fields.get("Multi-Arch") == "same"
    name = f"{package}:{fields['Architecture']}" if same else package
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as packed:
        names = subprocess.run(
            ["tar", "-xv", "--keep-directory-symlink", "-C", root],
            stdin=packed.stdout,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    assert packed.returncode == 0
    (info / f"{name}.list").write_text(
        "".join(f"/{line.removeprefix('./').rstrip('/') or '.'}\n" for line in names.splitlines())
    )
    with (root / "var/lib/dpkg/status").open("a") as status:
        head, _, rest = control.partition("\n")
        status.write(f"{head}\nStatus: install ok installed\n{rest.rstrip()}\n\n")
    return fields


def collect(host):
    known = collectors()
    found = {}
    for subclass in SUBCLASSES:
        found[subclass], proof = run(known[subclass], host, epoch=1, clock=SystemClock())
        assert proof.outcome in ("ok", "partial", "not_applicable"), (subclass, proof.problems)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["packages"][0])
def test_real_packages_give_exactly_their_roles(case, root):
    controls = {package: unpack(package, root) for package in case["packages"]}
    with RootHost(str(root)) as host:
        snapshot = collect(host)
        rows = {row.name: row for row in snapshot["software.os_package"]}
        assert {name: row.version for name, row in rows.items()} == {
            name: fields["Version"] for name, fields in controls.items()
        }
        still = tags(snapshot, ROLES, exists=host.exists)
        assert sorted(tag.role for tag in still) == case["roles"], still
        if "run" not in case:
            return
        owner = rows[case.get("owner", case["packages"][0])]
        assert owners(host, [case["run"]]) == {case["run"]: owner.key()}
        exe = case.get("exe", case["run"])
        name = case.get("name", exe.rpartition("/")[2])[:15]
        argv = case.get("argv", [exe])
        snapshot["runtime.process"] = [Process(pid=9, start_ns=1, name=name, exe=exe, argv=argv)]
        running = tags(snapshot, ROLES, exists=host.exists)
        assert sorted(tag.role for tag in running) == case.get("running", case["roles"]), running
        before = {tag.role: tag.confidence for tag in still}
        assert all(tag.confidence > before.get(tag.role, 0) for tag in running)


def test_there_are_enough_cases():
    proven = {role for case in CASES for role in case.get("running", case["roles"])}
    assert len(proven) >= 15
    assert proven <= {role.id for role in ROLES}
    assert any(not case["roles"] and "run" not in case for case in CASES)
