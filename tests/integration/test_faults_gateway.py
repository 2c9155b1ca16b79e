"""Bad input and faults against a real server process over mTLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from backports import zstd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from deltalake import DeltaTable
from serverkit import FACTS, Agent, ServerProcess, events

from hauberk import signing
from hauberk.errors import Busy, Temporary
from hauberk.link.client import identity as identities
from hauberk.link.client.enrol import enrol
from hauberk.link.client.transport import GatewayRefused, Transport
from hauberk.link.envelope import MAGIC, Envelope, Header
from hauberk.store.keys import Keys


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("faults"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def agent(server: ServerProcess, tmp_path: Path) -> Iterator[Agent]:
    yield Agent.enrolled(server, tmp_path / "agent")
    Agent.close_all()


def refused(act) -> str:
    with pytest.raises(GatewayRefused) as caught:
        act()
    return caught.value.refusal.code


def still_works(agent: Agent) -> None:
    assert agent.send(events(1)).duplicate is False


def forged(agent: Agent, payload: bytes, raw_size: int) -> bytes:
    agent.sequence += 1
    name = agent.identity.ids.agent
    header = msgspec.msgpack.encode(Header(1, name, agent.boot, agent.sequence, 1, 1, raw_size))
    signature = signing.sign(agent.identity.key, "batch", header + payload)
    return msgspec.msgpack.encode(Envelope(MAGIC, header, payload, signature))


def test_wrong_signature_and_sequence(agent: Agent) -> None:
    body = bytearray(agent.seal(events(1)))
    body[-1] ^= 1
    assert refused(lambda: agent.transport.batch(bytes(body))) == "drop"
    zero = agent.seal(events(1), sequence=0)
    assert refused(lambda: agent.transport.batch(zero)) == "drop"
    agent.send(events(1))
    other = agent.seal(events(2), sequence=agent.sequence)
    assert refused(lambda: agent.transport.batch(other)) == "drop"
    still_works(agent)


def test_bombs(server: ServerProcess, agent: Agent) -> None:
    before = server.memory_mib("VmHWM")
    bomb = zstd.compress(b"\0" * 2**29)
    assert refused(lambda: agent.transport.batch(forged(agent, bomb, 1000))) == "drop"
    assert refused(lambda: agent.transport.batch(forged(agent, bomb, 2**30))) == "drop"
    assert server.memory_mib("VmHWM") - before < 150
    still_works(agent)


def test_declared_gigabyte_is_refused_before_it_is_read(
    server: ServerProcess, agent: Agent
) -> None:
    context = ssl.create_default_context(cadata=agent.identity.ca.decode())
    context.load_cert_chain(agent.identity.certificate_file, agent.identity.key_file)
    host, _, port = server.gateway.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1073741824\r\n\r\n")
        answer = b""
        while part := tls.recv(4096):
            answer += part
    assert b" 413 " in answer.splitlines()[0]
    still_works(agent)


def test_tokens(server: ServerProcess, tmp_path: Path) -> None:
    def use(token: str, name: str) -> None:
        url = f"https://{server.gateway}"
        enrol(tmp_path / name, token, url=url, facts=FACTS, version="1")

    token = server.token()
    use(token, "a")
    assert refused(lambda: use(token, "b")) == "enrol"
    made = server.api("POST", "/enrolments", {"note": "", "ttl_s": 600})
    server.api("DELETE", f"/enrolments/{made['id']}")
    assert refused(lambda: use(made["token"], "c")) == "enrol"


def test_revoked_agent_is_refused_at_once(server: ServerProcess, agent: Agent) -> None:
    agent.send(events(1))
    server.api("POST", f"/agents/{agent.identity.ids.agent}/revoke")
    assert refused(lambda: agent.send(events(1))) == "enrol"
    assert refused(agent.beat) == "enrol"


def test_expired_certificate_hears_that_it_must_enrol(server: ServerProcess, agent: Agent) -> None:
    keys = Keys(server.folder / "keys", now_ns=time.time_ns())
    old = time.time_ns() - 90 * 86_400 * 10**9
    public = agent.identity.key.public_key()
    pem, _, _ = keys.agent_certificate(public, agent.identity.ids.agent, now_ns=old)
    agent.identity.certificate_file.write_bytes(pem)
    expired = Agent(agent.identity, Transport(agent.identity))
    assert refused(lambda: expired.send(events(1))) == "enrol"


def test_certificate_of_the_same_name_but_another_serial(
    server: ServerProcess, agent: Agent
) -> None:
    keys = Keys(server.folder / "keys", now_ns=time.time_ns())
    public = agent.identity.key.public_key()
    pem, _, _ = keys.agent_certificate(public, agent.identity.ids.agent, now_ns=time.time_ns())
    agent.identity.certificate_file.write_bytes(pem)
    other = Agent(agent.identity, Transport(agent.identity))
    assert refused(lambda: other.send(events(1))) == "enrol"


def test_identity_cannot_be_used_by_another(
    server: ServerProcess, agent: Agent, tmp_path: Path
) -> None:
    victim = Agent.enrolled(server, tmp_path / "victim")
    stolen = victim.seal(events(1))
    assert refused(lambda: agent.transport.batch(stolen)) == "enrol"
    named = agent.seal(events(1), agent=victim.identity.ids.agent)
    assert refused(lambda: agent.transport.batch(named)) == "enrol"
    still_works(victim)
    still_works(agent)


def test_cloned_key_is_refused_until_it_enrols_anew(
    server: ServerProcess, agent: Agent, tmp_path: Path
) -> None:
    shutil.copytree(agent.identity.folder.parent, tmp_path / "copy", symlinks=True)
    clone = Agent(identities.load(tmp_path / "copy"), Transport(identities.load(tmp_path / "copy")))
    agent.beat("original")
    clone.beat("clone")
    assert refused(lambda: agent.beat("original")) == "enrol"
    assert refused(lambda: clone.beat("clone")) == "enrol"
    assert refused(lambda: agent.send(events(1))) == "enrol"
    fresh = Agent.enrolled(server, tmp_path / "fresh")
    assert fresh.identity.ids.agent != agent.identity.ids.agent
    still_works(fresh)


def test_strangers_learn_nothing(server: ServerProcess, agent: Agent, tmp_path: Path) -> None:
    foreign = Keys(tmp_path / "foreign", now_ns=time.time_ns())
    key = Ed25519PrivateKey.generate()
    pem, _, _ = foreign.agent_certificate(
        key.public_key(), agent.identity.ids.agent, now_ns=time.time_ns()
    )
    agent.identity.certificate_file.write_bytes(pem)
    agent.identity.key_file.write_bytes(identities_pem(key))
    intruder = Transport(agent.identity)
    try:
        with pytest.raises(Temporary):  # TLS refuses: nothing was said
            intruder.batch(agent.seal(events(1)))
    finally:
        intruder.close()


def identities_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.root
def test_full_disk_asks_to_wait_and_loses_nothing(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", mount], check=True)
    try:
        server = ServerProcess(mount)
        server.start()
        agent = Agent.enrolled(server, tmp_path / "agent")
        filler = mount / "filler"
        filler.write_bytes(b"")
        with filler.open("ab", buffering=0) as out:
            while (
                subprocess.run(
                    ["df", "--output=avail", mount], capture_output=True, check=True
                ).stdout.split()[1]
                > b"300"
            ):
                try:
                    out.write(b"\0" * 65536)
                except OSError:
                    break
        acknowledged = 0
        waited = False
        body = b""
        for n in range(400):
            body = agent.seal(events(100, first=n * 100))
            try:
                agent.transport.batch(body)
            except Busy:
                waited = True
                break
            acknowledged += 100
        assert waited
        assert server.process.poll() is None
        filler.unlink()
        deadline = time.monotonic() + 60
        while True:
            try:
                agent.transport.batch(body)
                break
            except Busy:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert server.stop() == 0
        table = DeltaTable(str(server.folder / "lake/default/process_activity"))
        pids = table.to_pyarrow_table()["pid"].to_pylist()
        assert sorted(pids) == list(range(acknowledged + 100))
    finally:
        Agent.close_all()
        if server.process.poll() is None:
            server.kill()
        subprocess.run(["umount", mount], check=True)


def test_torn_lake_entry_is_repaired_at_start(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.data.mkdir()
    server.start()
    try:
        agent = Agent.enrolled(server, tmp_path / "agent")
        agent.send(events(5))
        log = server.folder / "lake/default/process_activity/_delta_log"
        while len(list(log.glob("*.json"))) < 2:
            time.sleep(0.1)
        server.kill()
        newest = max(log.glob("*.json"))
        torn = log / f"{int(newest.stem) + 1:020d}.json"
        torn.write_bytes(newest.read_bytes()[:60])
        server.start()
        agent.send(events(5, first=5))
        assert server.stop() == 0
        rows = DeltaTable(str(log.parent)).to_pyarrow_table()["pid"].to_pylist()
        assert sorted(rows) == list(range(10))
        assert "removed torn log files" in server.log()
    finally:
        Agent.close_all()
        if server.process.poll() is None:
            server.kill()
