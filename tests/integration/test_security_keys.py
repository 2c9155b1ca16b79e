"""Wrapped keys through the life of a server: start, TLS, backup, restore."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

from serverkit import Agent, ServerProcess

from hauberk.server import archive
from hauberk.store import wrap
from hauberk.store.keys import FILES

HAUBERK = [sys.executable, "-m", "hauberk.cli.main"]


def hauberk(*argv: str) -> None:
    done = subprocess.run([*HAUBERK, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_with_wrapped_keys_its_backup_and_its_restore(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        agent = Agent.enrolled(server, tmp_path / "a")
        agent.beat()
        server.stop()
        made = wrap.new_key(tmp_path / "wrap.key")
        server.env["HAUBERK_WRAP_KEY_FILE"] = str(tmp_path / "wrap.key")
        server.start()
        agent.beat()  # the agent trusts the same CA, TLS has its key
        for name in FILES:
            assert wrap.state_of(server.folder / "keys" / name) == made.id
        host, _, port = server.listen.partition(":")
        authority = ssl.create_default_context(cafile=str(server.folder / "keys/ca.pem"))
        assert authority.get_ca_certs()
        assert ssl.get_server_certificate((host, int(port)))
        hauberk("backup", str(tmp_path / "b"), "--data", str(server.data))
    finally:
        server.stop()
    held = {
        name: archive.small(name, size, reader)
        for name, size, reader in archive.members(tmp_path / "b")
        if name.startswith("keys/")
    }
    assert {f"keys/{name}" for name in FILES} <= set(held)
    assert not [name for name, data in held.items() if b"PRIVATE KEY" in data]

    clean = ServerProcess(tmp_path / "clean", gateway=server.gateway)
    clean.data.mkdir()
    hauberk("restore", str(tmp_path / "b"), "--data", str(clean.data))
    clean.start(wait=False)
    assert clean.process
    assert clean.process.wait(60) != 0
    assert f"is wrapped by the key {made.id}: set wrap_key_file" in clean.log()
    clean.env["HAUBERK_WRAP_KEY_FILE"] = str(tmp_path / "wrap.key")
    clean.start()
    try:
        agent.beat()
    finally:
        clean.stop()


def test_root_drops_its_rights_and_can_still_renew(tmp_path: Path) -> None:
    """A key in memory is readable for the user that the server becomes."""
    code = """
import os, sys, ssl
from pathlib import Path
from hauberk.store import wrap
from hauberk.store.keys import Keys
folder = Path(sys.argv[1])
keys = Keys(folder / "keys", now_ns=1_790_000_000 * 10**9, wrap=wrap.load(folder / "w"))
keys.server_certificate(["localhost"], now_ns=1_790_000_000 * 10**9)
for path in (folder, folder / "keys", *(folder / "keys").iterdir()):
    os.chown(path, 65534, 65534)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
with keys.server_pair() as pair:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)
assert keys.server_certificate(["localhost", "other"], now_ns=1_790_000_000 * 10**9)
with keys.server_pair() as pair:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)
"""
    # A folder that another user may pass, which pytest's own is not.
    folder = Path("/tmp") / f"hauberk-wrap-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        wrap.new_key(folder / "w")
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
