"""The real agent package in a root that holds a static busybox and nothing else."""

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import bundlekit
import msgspec
import packagekit as kit
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk import signing
from hauberk.link import envelope, wire
from hauberk.link.client import identity as identities
from hauberk.schema.ids import agent_id
from hauberk.schema.link import (
    BatchReply,
    Beat,
    BeatReply,
    Budget,
    Desired,
    EnrolReply,
    Signed,
)

_spec = importlib.util.spec_from_file_location(
    "link_client_conftest", Path(__file__).parents[1] / "unit/link/client/conftest.py"
)
link = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(link)
authority, gateway = link.authority, link.gateway

TASKS = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
PATIENCE_S = 120
HAUBERK = "/opt/hauberk/slots/a/bin/hauberk"
pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a chroot needs root"),
    pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="needs busybox-static"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare"),
]


@pytest.fixture(scope="module")
def tree():
    return bundlekit.build()[0]


@pytest.fixture
def root(tmp_path, tree):
    made = bundlekit.empty_root(tmp_path / "root", tree)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def run(root, *argv, timeout_s=60, **env):
    return bundlekit.finish(bundlekit.inside(root, *argv, **env), timeout_s)


def test_it_runs_where_there_is_nothing_but_busybox(root):
    assert run(root, HAUBERK, "--version") == (0, "1.0.0\n")
    status, out = run(root, HAUBERK, "agent", "--selftest")
    assert (status, out) == (0, "this package runs here\n")
    status, out = run(root, HAUBERK, "inventory", "-o", "json")
    assert status in (0, 3)
    found = {row["subclass"]: row for row in json.loads(out)["collections"]}
    assert found["runtime.process"]["rows"] > 1
    code = "import ssl, sys, sqlite3, socket; print(sys.flags.isolated, sys.prefix, *sys.path)"
    status, out = run(root, "/opt/hauberk/slots/a/bin/python", "-c", code)
    assert status == 0
    assert all(p.startswith(("/opt/hauberk/slots/a", "1")) for p in out.split())
    assert str(bundlekit.ROOT) not in out


def test_it_runs_from_any_folder_and_sees_what_was_changed(root, tmp_path):
    place = root / "some where/else"
    place.parent.mkdir()
    (root / "opt/hauberk/slots/a").rename(place)
    assert run(root, "/some where/else/bin/hauberk", "--version")[0] == 0
    (place / "lib/python3.11/hauberk/errors.py").write_text("# mine\n")
    status, out = run(root, "/some where/else/bin/hauberk", "agent", "--selftest")
    assert status == 3
    assert "hauberk/errors.py: changed" in out


def test_every_file_is_listed_and_nothing_points_out(tree):
    manifest = json.loads((tree / "manifest.json").read_bytes())
    listed = {f["path"] for f in manifest["files"]}
    found = {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_symlink() or p.is_file()}
    assert listed == found - {"manifest.json"}
    for path in tree.rglob("*"):
        assert path.resolve().is_relative_to(tree)
    names = {c["name"] for c in manifest["components"]}
    assert {"hauberk", "libc6", "msgspec", "cryptography"} <= names
    for name in names - {"hauberk"}:
        assert (tree / "share/licences" / name).exists(), name
    for part in ("server", "api", "store", "ingest"):
        assert not (tree / bundlekit.SITE / part).exists()


def test_the_same_files_give_the_same_package(tree, tmp_path):
    pack = bundlekit.archive.tar_xz
    for name in ("one", "two"):
        for part in ("bin", "share"):
            shutil.copytree(tree / part, tmp_path / name / part, symlinks=True)
        shutil.copy(tree / "manifest.json", tmp_path / name)
    os.utime(tmp_path / "two/manifest.json", (1, 1))
    (tmp_path / "two/bin/hauberk").chmod(0o700)
    (tmp_path / "two/bin/hauberk").chmod(0o755)
    assert pack(tmp_path / "one", tmp_path / "1.xz") == pack(tmp_path / "two", tmp_path / "2.xz")


class Server:
    """What the agent talks to: the link's real messages over TLS, with packages to fetch."""

    def __init__(self, gateway, authority, state):
        self.key = identities.new_key()
        self.beats, self.rows, self.packages = [], set(), {}
        self.desired = Desired(
            tenant="t1",
            workload="w1",
            agent=agent_id(signing.raw_public(self.key)),
            version=1,
            key_id="k1",
            budget=Budget(background_pct=50, pressure_pct=1000),
        )
        reply = EnrolReply(
            agent=self.desired.agent,
            workload="w1",
            tenant="t1",
            certificate=authority.issue(identities.csr(self.key)),
            ca=authority.pem,
            task_key=signing.raw_public(TASKS),
            task_key_id="k1",
            release_key=kit.RELEASE_KEY,
        )
        identities.save(state / "identity", gateway.url, self.key, reply)
        self.gateway = gateway
        gateway.routes["POST", "/v1/beat"] = self.beat
        gateway.routes["POST", "/v1/batch"] = self.batch

    def beat(self, body, _peer):
        beat = msgspec.msgpack.decode(body, type=Beat)
        self.beats.append(beat)
        document = None
        if beat.desired_version < self.desired.version:
            raw = msgspec.msgpack.encode(self.desired)
            document = msgspec.msgpack.encode(Signed(raw, signing.sign(TASKS, "desired", raw)))
        return 200, msgspec.msgpack.encode(BeatReply(desired=document))

    def batch(self, body, _peer):
        header, raw = envelope.read(body, lambda _agent: self.key.public_key())
        self.rows |= {table.name for table in wire.decode_batch(raw).tables}
        return 200, msgspec.msgpack.encode(BatchReply(sequence=header.sequence))

    def offer(self, data, version, sequence):
        digest = hashlib.sha256(data).hexdigest()

        def part(_body, _peer):
            first, last = self.gateway.asked["range"].removeprefix("bytes=").split("-")
            return 206, data[int(first) : int(last) + 1]

        self.gateway.routes["GET", f"/v1/package/{digest}"] = part
        self.desired = msgspec.structs.replace(
            self.desired,
            version=self.desired.version + 1,
            package=kit.signed(data, version, sequence),
        )

    def until(self, agent, condition, what):
        end = time.monotonic() + PATIENCE_S
        seen = len(self.beats)
        while not any(condition(beat) for beat in self.beats[seen:]):
            if agent.poll() is not None:
                pytest.fail(f"{what}: the agent ended:\n{agent.communicate()[0]}")
            if time.monotonic() > end:
                agent.terminate()
                told = [(b.version, b.goodbye, b.package) for b in self.beats[-3:]]
                pytest.fail(f"{what}: {told}\n{agent.communicate(timeout=60)[0]}")
            time.sleep(0.05)


def broken(text):
    """Imports and passes the self-test, and dies when it is started as the agent."""
    return text.replace(
        'if __name__ == "__main__":\n', 'if __name__ == "__main__":\n    sys.exit(9)\n'
    )


def test_it_upgrades_itself_and_comes_back_from_a_broken_package(
    root, tree, tmp_path, gateway, authority
):
    state = root / "var/lib/hauberk/agent"
    state.mkdir(parents=True)
    server = Server(gateway, authority, state)
    agent = bundlekit.inside(
        root,
        "/opt/hauberk/slots/a/bin/hauberk-launch",
        "--supervise",
        HAUBERK_AGENT_BEAT_S="0.3",
        HAUBERK_AGENT_STEADY_S="1",
        HAUBERK_AGENT_CONFIRM_S="60",
        HAUBERK_AGENT_SENSOR="false",
    )
    try:
        server.until(agent, lambda b: b.version == "1.0.0", "first beat")
        first = server.beats[-1]
        assert (first.package.state, first.package.sequence) == ("current", 100)
        print(f"\nat rest: {first.resources.private_bytes / 2**20:.1f} MiB private")

        server.offer(bundlekit.other(tree, tmp_path, "2.0.0", 200), "2.0.0", 200)
        server.until(
            agent, lambda b: b.version == "2.0.0" and b.package.state == "current", "version 2"
        )
        assert [b.version for b in server.beats if b.goodbye == "upgrade"] == ["1.0.0"]
        trials = [b.version for b in server.beats if b.package.state == "trial"]
        assert "2.0.0" in trials
        assert server.beats[-1].package.slot == "b"
        assert (root / "opt/hauberk/confirmed").readlink() == Path("slots/b")

        bad = bundlekit.other(tree, tmp_path, "3.0.0", 300, ("agent/main.py", broken))
        server.offer(bad, "3.0.0", 300)
        server.until(
            agent,
            lambda b: b.version == "2.0.0" and b.package.state == "rolled_back",
            "back to version 2",
        )
        told = server.beats[-1].package
        assert told.wanted == hashlib.sha256(bad).hexdigest()
        assert "started 3 times" in told.message
        assert "status 9" in told.message
        assert "3.0.0" not in {b.version for b in server.beats}
        end = time.monotonic() + PATIENCE_S
        while "collection" not in server.rows and time.monotonic() < end:
            time.sleep(0.1)
        assert "collection" in server.rows

        agent.send_signal(signal.SIGTERM)
        out, _ = agent.communicate(timeout=60)
        assert agent.returncode == 0, out
        assert server.beats[-1].goodbye == "stopped"
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.communicate()
    status, out = run(root, "/opt/hauberk/slots/b/bin/hauberk", "uninstall")
    assert status == 0, out
    assert not (root / "opt/hauberk").exists()
    assert not state.exists()


def test_the_deb_holds_the_package_and_the_unit(tree):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    deb = next(bundlekit.BUILT.glob("hauberk-agent_1.0.0_*.deb"))
    listed = subprocess.run(
        ["dpkg-deb", "--contents", deb], capture_output=True, text=True, check=True
    ).stdout
    assert "./opt/hauberk/package/bin/hauberk\n" in listed
    assert "./lib/systemd/system/hauberk-agent.service\n" in listed
    assert "./usr/bin/hauberk -> /opt/hauberk/current/bin/hauberk" in listed
    fields = subprocess.run(
        ["dpkg-deb", "--field", deb], capture_output=True, text=True, check=True
    ).stdout
    assert "Version: 1.0.0" in fields
