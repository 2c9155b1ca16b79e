"""What agents and the server tell each other, and what an agent finds in its own folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzzkit
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fuzzkit import Target
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk import signing
from hauberk.agent import slots_manifest
from hauberk.agent.desired import DesiredState, Kept
from hauberk.agent.signed import claimed_id, open_signed
from hauberk.agent.tasks import Entry, Journal, TaskGate
from hauberk.agent.updater import open_package
from hauberk.errors import BadInput, BadWire, Refused, Unreachable
from hauberk.host.clock import SystemClock
from hauberk.link import envelope, token, wire
from hauberk.link.client.identity import Ids
from hauberk.link.client.segment import Segment
from hauberk.link.client.transport import decode_reply
from hauberk.schema import link
from hauberk.sensor import proc_connector
from hauberk.store.keys import agent_key_of

GOLDEN = Path(__file__).parents[1] / "golden/wire"
BATCHES = [
    bytes.fromhex(p.read_text()) for p in sorted(GOLDEN.glob("*.bin")) if "envelope" not in p.name
]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
IDS = Ids(
    agent="a" * 16,
    workload="w" * 16,
    tenant="default",
    url="https://h:1",
    task_key=signing.raw_public(KEY),
    task_key_id="k",
)
ENVELOPES = [
    (GOLDEN / "envelope-1.bin").read_bytes(),
    *(
        envelope.seal(KEY, b, agent="a", boot="b", sequence=1, wall_ns=1, mono_ns=1, lane="e")
        for b in BATCHES
    ),
]


def batch(data: bytes) -> None:
    for table in wire.decode_batch(data).tables:
        wire.decode_rows(table)


def enveloped(data: bytes) -> None:
    found, header = envelope.parse(data)
    envelope.digest(found)
    envelope.unpack(found, header)


def signed(context: signing.Context, document: msgspec.Struct) -> bytes:
    body = msgspec.msgpack.encode(document)
    return msgspec.msgpack.encode(link.Signed(body, signing.sign(KEY, context, body)))


def segment(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "000000000001-e.seg"
        path.write_bytes(data)
        found = Segment.open(path)
        if found is None:
            return
        while found.head() is not None:
            found.head_sequence()
            found.done()
        found.close()


def segments() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = Segment.create(Path(folder), "e", 1, "boot-1")
        for number, body in enumerate(BATCHES, 1):
            made.append(body, rows=3, sequence=number, wall_ns=number, mono_ns=number)
        made.close()
        return [made.path.read_bytes()]


DESIRED = link.Desired(
    agent=IDS.agent, workload=IDS.workload, tenant="default", key_id="k", version=3
)


def desired_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "desired"
        path.write_bytes(data)
        state = DesiredState(path, IDS)
        try:
            state.accept(data)
        except Refused:
            assert state.current.version in (0, 3)


def kept() -> bytes:
    return msgspec.msgpack.encode(Kept(ids=IDS, document=signed("desired", DESIRED)))


def journal(data: bytes) -> None:
    """A damaged journal stops the agent with one error: replays could pass without it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.json"
        path.write_bytes(data)
        gate = TaskGate(path, IDS, boot="b", clock=SystemClock())
        gate.judge(TASK)
        gate.untold()


JOURNAL = msgspec.json.encode(
    Journal(
        agent=IDS.agent,
        entries=[Entry(id="t0", sequence=1, digest="00", boot="b", first_mono_ns=1)],
    )
)


MANIFEST = msgspec.json.encode(
    slots_manifest.Manifest(
        name="hauberk-agent",
        version="1.2.3",
        sequence=7,
        arch="x86_64",
        size=10,
        files=[slots_manifest.ManifestFile(path="a", mode=0o644, size=1, sha256="0" * 64)],
    )
)
TASK = signed(
    "task",
    link.Task(
        id="t1",
        tenant=IDS.tenant,
        workload=IDS.workload,
        agent=IDS.agent,
        sequence=1,
        key_id=IDS.task_key_id,
        kind="collect",
        not_before_ns=1,
        not_after_ns=2,
        ttl_s=60.0,
    ),
)
PACKAGE = signed(
    "pack",
    link.Package(version="1.0.0", sequence=5, arch="x86_64", size=100, sha256="0" * 64),
)
MESSAGES: list[type[Any]] = [
    link.Beat,
    link.EnrolRequest,
    link.RotateRequest,
    link.TaskResult,
    link.BeatReply,
    link.EnrolReply,
    link.RotateReply,
    link.BatchReply,
]
NETLINK = bytes.fromhex("4c00000003000000000000000000000001000000010000000000000000000000280000")
TARGETS = [
    Target("batch", batch, BATCHES, (BadWire,)),
    Target("envelope", enveloped, ENVELOPES, (BadWire,)),
    Target(
        "token",
        lambda d: token.parse(d.decode("utf-8", "surrogateescape")),
        [token.EnrolToken("https://h:1", bytes(32), bytes(32)).text().encode()],
        (BadWire,),
    ),
    Target("segment", segment, segments()),
    Target(
        "signed desired",
        lambda d: open_signed(d, "desired", link.Desired, IDS),
        [signed("desired", DESIRED)],
        (Refused,),
    ),
    Target("signed task", lambda d: open_signed(d, "task", link.Task, IDS), [TASK], (Refused,)),
    Target(
        "signed package",
        lambda d: open_package(d, signing.raw_public(KEY)),
        [PACKAGE],
        (Refused,),
    ),
    Target("desired file", desired_file, [kept(), signed("desired", DESIRED)]),
    Target("claimed task", claimed_id, [TASK]),
    Target("task journal", journal, [JOURNAL], (BadInput,)),
    Target("slot manifest", slots_manifest.decode, [MANIFEST], (BadInput,)),
    Target(
        "certificate request",
        agent_key_of,
        [b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"],
        (BadWire,),
        clean=False,
    ),
    Target("proc connector", proc_connector.parse, [NETLINK * 2], (BadWire,), clean=False),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_only_documented_errors(target: Target) -> None:
    fuzzkit.run(target)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda k: k.__name__)
def test_a_message_is_whole_or_refused(kind: type[Any]) -> None:
    """Any msgpack: an answer that is not of its form is as no answer."""
    names = st.sampled_from([f.encode_name for f in msgspec.structs.fields(kind)])

    @settings(
        max_examples=2000 if fuzzkit.LONG else 150,
        deadline=None,
        database=None,
        derandomize=not fuzzkit.LONG,
    )
    @given(st.dictionaries(names, fuzzkit.VALUES, max_size=8) | fuzzkit.VALUES)
    def check(value: Any) -> None:
        raw = msgspec.msgpack.encode(value)
        try:
            found = decode_reply(raw, kind, "x")
        except Unreachable:
            return
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=kind)
        assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(found)

    check()


def nested() -> Iterator[bytes]:
    for opening in (b"\x91", b"\x81\xa1x", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"):
        yield opening * 100_000
    yield b"\xc6\xff\xff\xff\xff"


@pytest.mark.parametrize(
    "target",
    [t for t in TARGETS if t.name in ("batch", "envelope", "signed desired")],
    ids=lambda t: t.name,
)
def test_depth_and_announced_sizes(target: Target) -> None:
    for data in nested():
        fuzzkit.once(target, data)
