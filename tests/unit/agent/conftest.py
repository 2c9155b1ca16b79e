"""What the agent's tests share; the TLS gateway and the clock are those of the link's tests."""

import importlib.util
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk import signing
from hauberk.agent.ledger import Ledger
from hauberk.link import wire
from hauberk.link.client.identity import Ids
from hauberk.link.client.spool import Spool
from hauberk.schema.link import Desired, Signed, Task

_spec = importlib.util.spec_from_file_location(
    "link_client_conftest", Path(__file__).parents[1] / "link/client/conftest.py"
)
link = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(link)
clock, authority, other_authority = link.clock, link.authority, link.other_authority
gateway, refuse, identity, token_for = link.gateway, link.refuse, link.identity, link.token_for

SERVER_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


@pytest.fixture
def ids():
    return Ids(
        url="https://127.0.0.1:1",
        agent="a1",
        workload="w1",
        tenant="t1",
        task_key=signing.raw_public(SERVER_KEY),
        task_key_id="k1",
    )


@pytest.fixture
def sign():
    """Signed bytes of a Task or Desired as the server makes them."""

    def make(context, body, key=SERVER_KEY):
        raw = msgspec.msgpack.encode(body)
        return msgspec.msgpack.encode(Signed(raw, signing.sign(key, context, raw)))

    return make


@pytest.fixture
def task(clock):
    def make(**changes):
        values = {
            "id": "task-1",
            "tenant": "t1",
            "workload": "w1",
            "agent": "a1",
            "sequence": 1,
            "key_id": "k1",
            "kind": "collect",
            "not_before_ns": clock.wall - 10**9,
            "not_after_ns": clock.wall + 60 * 10**9,
            "ttl_s": 60.0,
        }
        return Task(**(values | changes))

    return make


@pytest.fixture
def desired():
    def make(**changes):
        values = {"tenant": "t1", "workload": "w1", "agent": "a1", "version": 1, "key_id": "k1"}
        return Desired(**(values | changes))

    return make


@pytest.fixture
def spool(tmp_path, clock):
    made = Spool(tmp_path / "spool", boot="boot-1", clock=clock, max_bytes=64 << 20)
    yield made
    made.close()


@pytest.fixture
def ledger(clock):
    return Ledger(clock, lambda: 0.0)


@pytest.fixture
def tables():
    """Takes everything out of a spool: (table, rows as dicts) in order."""

    def drain(spool):
        out = []
        while (item := spool.peek()) is not None:
            batch = wire.decode_batch(item.batch)
            assert item.rows == sum(t.rows for t in batch.tables)
            out += [(t, wire.decode_rows(t)) for t in batch.tables]
            spool.done(item)
        return out

    return drain
