"""A real dockerd for tests: unpacked, never installed; everything it makes is undone.

In a test module: `from conftest_docker import dockerd`  and take the fixture `dockerd`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

PACKAGES = ("docker.io", "containerd", "runc", "libdevmapper1.02.1", "tini")
CACHE = Path.home() / ".cache" / "hauberk-tests" / "docker"
IMAGE = "hauberk-test/busybox:1"
BUSYBOX = (Path("/bin/busybox"), Path("/usr/bin/busybox"))


class Dockerd:
    """A running engine: `socket` speaks the Docker API, `run` starts a container.

    `containerd` is the socket of the containerd below it, in its state folder.
    """

    def __init__(self, socket: Path, containerd: Path, cgroup: str) -> None:
        self.socket = str(socket)
        self.containerd = str(containerd)
        self.cgroup = cgroup
        self.image = IMAGE
        self._made: list[str] = []
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=self.socket),
            base_url="http://docker",
            timeout=60,
            trust_env=False,
        )

    def api(self, method: str, path: str, **more: Any) -> Any:
        reply = self._client.request(method, path, **more)
        if reply.status_code >= 400:
            raise AssertionError(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json() if reply.content.startswith((b"{", b"[")) else reply.text

    def load(self, tar: bytes) -> None:
        name, _, tag = IMAGE.partition(":")
        self.api(
            "POST", "/images/create", params={"fromSrc": "-", "repo": name, "tag": tag}, content=tar
        )

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        labels: dict[str, str] | None = None,
        host_config: dict[str, Any] | None = None,
        start: bool = True,
    ) -> str:
        """Make a container without network, start it unless told not to, and give its id."""
        made = self.api(
            "POST",
            "/containers/create",
            params={"name": name},
            json={
                "Image": IMAGE,
                "Cmd": list(argv),
                "Labels": labels or {},
                "HostConfig": {"NetworkMode": "none", **(host_config or {})},
            },
        )
        self._made.append(made["Id"])
        if start:
            self.api("POST", f"/containers/{made['Id']}/start")
        return str(made["Id"])

    def inspect(self, name: str) -> Any:
        return self.api("GET", f"/containers/{name}/json")

    def stop(self, name: str) -> None:
        self.api("POST", f"/containers/{name}/stop", params={"t": 0})

    def close(self) -> None:
        for id_ in self._made:
            self._client.delete(f"/containers/{id_}", params={"force": "1", "v": "1"})
        self._client.close()


def _parts() -> Path:
    """The unpacked packages; skips where they cannot be had."""
    root = CACHE / "root"
    if root.is_dir():
        return root
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip("no dockerd: needs apt-get and dpkg to fetch docker.io, containerd and runc")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        got = subprocess.run(
            ["apt-get", "download", *PACKAGES],
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if got.returncode != 0:
            pytest.skip(f"no dockerd: apt-get download failed: {got.stderr.strip()[-200:]}")
        unpacked = Path(scratch) / "root"
        for package in sorted(Path(scratch).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True, timeout=120)
        if not root.is_dir():
            unpacked.rename(root)
    return root


def _image() -> bytes:
    busybox = next((p for p in BUSYBOX if p.is_file()), None)
    if busybox is None:
        pytest.skip("no image: needs busybox-static")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(busybox.resolve(), "bin/busybox")
        for name in ("sh", "sleep", "cat", "nc"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("proc", "sys", "dev", "etc", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
    return out.getvalue()


def _start(argv: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def _wait(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"{socket.name} did not appear:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)


def _below(folder: Path) -> list[int]:
    """Processes whose command line names `folder`: shims that outlived their daemon."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() + b"/" in line:
                found.append(int(entry.name))
    return found


def _undo(folder: Path, cgroup: str) -> None:
    for pid in _below(folder):
        os.kill(pid, signal.SIGKILL)
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{folder}/")]
    for point in sorted(points, reverse=True):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        group = top / cgroup
        if group.is_dir():
            for inner in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                inner.rmdir()
            group.rmdir()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A Docker engine of its own with one image; skips without root or packages."""
    if os.geteuid() != 0:
        pytest.skip("no dockerd: needs root")
    tar = _image()
    parts = _parts()
    # Short, for socket paths hold 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="hbk-", dir="/tmp"))
    cgroup = f"hauberk-test-{os.getpid()}"
    binaries = [parts / "usr/bin", parts / "usr/sbin"]
    env = {
        "PATH": ":".join([*map(str, binaries), "/usr/sbin:/usr/bin:/sbin:/bin"]),
        "LD_LIBRARY_PATH": str(parts / "lib/x86_64-linux-gnu"),
        "HOME": str(folder),
    }
    started: list[subprocess.Popen[bytes]] = []
    engine: Dockerd | None = None
    try:
        config = folder / "containerd.toml"
        config.write_text(
            f'version = 2\nroot = "{folder}/cd-root"\nstate = "{folder}/cd"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{folder}/cd/containerd.sock"\n[ttrpc]\naddress = "{folder}/cd.ttrpc"\n'
        )
        log = folder / "containerd.log"
        started.append(_start([str(binaries[0] / "containerd"), "-c", str(config)], env, log))
        containerd = folder / "cd/containerd.sock"
        _wait(containerd, started[-1], log)
        (folder / "daemon.json").write_text(json.dumps({}))
        socket, log = folder / "docker.sock", folder / "dockerd.log"
        argv = [
            str(binaries[1] / "dockerd"),
            f"--host=unix://{socket}",
            f"--data-root={folder}/data",
            f"--exec-root={folder}/exec",
            f"--pidfile={folder}/docker.pid",
            f"--config-file={folder}/daemon.json",
            f"--containerd={containerd}",
            f"--cgroup-parent=/{cgroup}",
            "--storage-driver=vfs",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--insecure-registry=registry.test:5000",
        ]
        started.append(_start(argv, env, log))
        _wait(socket, started[-1], log)
        engine = Dockerd(socket, containerd, cgroup)
        engine.load(tar)
        yield engine
    finally:
        if engine is not None:
            engine.close()
        for process in reversed(started):
            _end(process)
        _undo(folder, cgroup)
