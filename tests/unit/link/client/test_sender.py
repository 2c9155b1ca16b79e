import pytest

from hauberk.errors import Busy, Unreachable
from hauberk.link.client.sender import LONGEST_WAIT_S, MAX_SET_ASIDE, Backoff, Sender
from hauberk.link.client.spool import Spool
from hauberk.link.client.transport import GatewayRefused
from hauberk.schema.link import BatchReply, Refusal


class Server:
    """Answers as told; remembers what it accepted."""

    def __init__(self):
        self.accepted, self.attempts, self.answer = [], 0, None

    def batch(self, envelope):
        self.attempts += 1
        answer = self.answer(envelope) if callable(self.answer) else self.answer
        if answer is not None:
            raise answer
        self.accepted.append(envelope)
        return BatchReply(sequence=1)


@pytest.fixture
def spool(tmp_path, clock):
    made = Spool(tmp_path / "spool", boot="b", clock=clock, max_bytes=1 << 20)
    yield made
    made.close()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def sender(spool, server, tmp_path):
    return Sender(
        spool, server, lambda item: item.batch, random=lambda: 0.5, quarantine=tmp_path / "refused"
    )


def no(code):
    return GatewayRefused(Refusal(code=code, message=f"{code} it"))


def test_sends_in_order_then_idles(spool, server, sender):
    for number in range(5):
        spool.append("e", str(number).encode(), 2)
    states = [sender.step().state for _ in range(6)]
    assert states == ["sent"] * 5 + ["idle"]
    assert server.accepted == [b"0", b"1", b"2", b"3", b"4"]
    assert (sender.sent_batches, sender.sent_rows) == (5, 10)


def test_a_server_gone_for_an_hour_costs_few_tries_and_no_batch(spool, server, sender, clock):
    server.answer = Unreachable("gone", retry_after=0)
    waits = []
    end = clock.mono + 3600 * 10**9
    while clock.mono < end:
        spool.append("e", str(len(waits)).encode(), 1)
        step = sender.step()
        assert step.state == "waiting"
        waits.append(step.wait_s)
        clock.advance(step.wait_s)
        clock.jump((-1) ** len(waits) * 5000)
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) <= LONGEST_WAIT_S * 1.5
    assert 50 < server.attempts < 150
    server.answer = None
    while sender.step().state == "sent":
        continue
    assert server.accepted == [str(n).encode() for n in range(len(waits))]


def test_jitter_spreads_and_success_starts_over():
    low, high = Backoff(lambda: 0.0), Backoff(lambda: 0.999)
    assert [low.failed() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert high.failed() == pytest.approx(1.499)
    low.succeeded()
    assert low.failed() == 0.5
    for _ in range(5000):
        assert high.failed() <= LONGEST_WAIT_S * 1.5


def test_the_server_is_never_asked_before_it_said(spool, server, sender):
    spool.append("e", b"x", 1)
    server.answer = Busy("full", retry_after=300)
    assert sender.step().wait_s == 300 * 1.125
    low, high = Backoff(lambda: 0.0), Backoff(lambda: 0.999)
    assert low.failed(300) == 300
    assert 370 < high.failed(300) < 375  # not all of a fleet at once


def test_a_batch_that_can_never_pass_is_set_aside_with_the_reason(spool, server, sender, tmp_path):
    for batch in (b"good", b"bad", b"also good"):
        spool.append("e", batch, 3)
    server.answer = lambda envelope: no("drop") if envelope == b"bad" else None
    assert [sender.step().state for _ in range(4)] == ["sent", "sent", "sent", "idle"]
    assert server.accepted == [b"good", b"also good"]
    (kept,) = (tmp_path / "refused").glob("*.batch")
    assert kept.read_bytes() == b"bad"
    assert kept.with_suffix(".reason").read_text() == "drop it"
    assert sender.set_aside_rows == 3
    assert spool.take_losses().events == 3
    assert "refused: drop it" in spool.take_losses().reason


def test_a_server_of_the_version_before_gets_that_version(spool, server, tmp_path):
    sender = Sender(
        spool,
        server,
        lambda item: b"2" + item.batch,
        older=lambda item: b"1" + item.batch,
        random=lambda: 0.5,
        quarantine=tmp_path / "refused",
    )
    server.answer = lambda envelope: (
        no("drop") if envelope[:1] == b"2" or b"bad" in envelope else None
    )
    for batch in (b"a", b"b", b"bad", b"c"):
        spool.append("e", batch, 1)
    assert [sender.step().state for _ in range(5)] == ["sent"] * 4 + ["idle"]
    assert server.accepted == [b"1a", b"1b", b"1c"]
    assert sender.set_aside_rows == 1
    # One more try for the first, the bad one, and the one behind it: it asks for the newer again.
    assert server.attempts == 2 + 1 + 1 + 2
    server.answer = lambda envelope: Busy("full") if envelope[:1] == b"2" else None
    sender.use(server, lambda item: b"2" + item.batch, lambda item: b"1" + item.batch)
    spool.append("e", b"d", 1)
    assert sender.step().state == "waiting"
    assert server.accepted[-1] == b"1c"


def test_the_quarantine_is_bounded(spool, server, sender, tmp_path, clock):
    server.answer = no("drop")
    for number in range(MAX_SET_ASIDE + 10):
        clock.advance(1)
        spool.append("e", str(number).encode(), 1)
        sender.step()
    kept = sorted((tmp_path / "refused").glob("*.batch"))
    assert len(kept) == MAX_SET_ASIDE
    assert kept[-1].read_bytes() == str(MAX_SET_ASIDE + 9).encode()
    assert len(list((tmp_path / "refused").glob("*.reason"))) == MAX_SET_ASIDE


def test_a_refused_identity_stops_until_another_is_given(spool, server, sender):
    spool.append("e", b"x", 1)
    server.answer = no("enrol")
    assert sender.step().state == "stopped"
    assert sender.step().message == "enrol it"
    assert server.attempts == 1
    assert spool.depth == 1
    server.answer = None
    sender.use(server, lambda item: b"new " + item.batch)
    assert sender.step().state == "sent"
    assert server.accepted == [b"new x"]


def test_in_doubt_only_while_an_answer_is_missing(spool, server, sender, tmp_path):
    assert not sender.in_doubt
    spool.append("e", b"x", 1)
    server.answer = Unreachable("cut after the request")
    sender.step()
    assert sender.in_doubt
    again = Sender(spool, server, bytes, random=lambda: 0.5, quarantine=tmp_path / "refused")
    assert again.in_doubt
    server.answer = None
    sender.step()
    assert not sender.in_doubt
