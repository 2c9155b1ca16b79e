from __future__ import annotations

import subprocess
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from storekit import item

from hauberk.errors import Busy, Conflict, StorageFull, Unsupported
from hauberk.store.inbox import SqliteInbox, _Append


@pytest.fixture
def inbox(tmp_path: Path):
    made = SqliteInbox(tmp_path / "inbox.db")
    yield made
    made.close()


def test_positions_rise_by_one_and_bodies_come_back(inbox: SqliteInbox) -> None:
    assert inbox.append([item(b"a", sequence=1), item(b"b", sequence=2)]) == [1, 2]
    assert inbox.append([item(b"c", sequence=3)]) == [3]
    found = inbox.read(1, max_items=10, max_bytes=100)
    assert [(i.position, i.body, i.sequence) for i in found] == [(2, b"b", 2), (3, b"c", 3)]
    assert found[0] == replace(item(b"b", sequence=2), position=2)


def test_repetition_is_told_and_stored_once(inbox: SqliteInbox) -> None:
    inbox.append([item(b"a")])
    assert inbox.append([item(b"a")]) == [None]
    assert inbox.append([item(b"b", sequence=2), item(b"b", sequence=2)]) == [2, None]
    assert inbox.depth() == (2, 2)


def test_other_bytes_under_one_sequence_conflict_and_store_nothing(inbox: SqliteInbox) -> None:
    inbox.append([item(b"a")])
    with pytest.raises(Conflict):
        inbox.append([item(b"new", sequence=2), item(b"other", sequence=1)])
    assert inbox.depth() == (1, 1)


def test_boots_and_agents_have_sequences_of_their_own(inbox: SqliteInbox) -> None:
    other = replace(item(b"x"), boot="b-2")
    assert inbox.append([item(b"a"), other, item(b"y", agent="c")]) == [1, 2, 3]


def test_trimmed_sequences_stay_known(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db", keep_digests=0)
    inbox.append([item(b"%d" % n, sequence=n) for n in (1, 2, 3, 5)])
    inbox.trim(4)
    assert inbox.depth() == (0, 0)
    assert inbox.append([item(b"2", sequence=2), item(b"5", sequence=5)]) == [None, None]
    assert inbox.append([item(b"4", sequence=4)]) == [5]
    inbox.close()
    again = SqliteInbox(tmp_path / "inbox.db")
    assert again.append([item(b"3", sequence=3)]) == [None]
    assert again.last == 5
    assert again.id == inbox.id
    again.close()


def test_positions_go_on_after_everything_was_trimmed(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db")
    inbox.append([item(b"a")])
    inbox.trim(1)
    inbox.close()
    again = SqliteInbox(tmp_path / "inbox.db")
    assert again.last == 1
    assert again.append([item(b"b", sequence=2)]) == [2]
    again.close()


def test_too_deep_asks_to_wait(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db", max_items=2)
    inbox.append([item(sequence=1), item(sequence=2)])
    with pytest.raises(Busy):
        inbox.append([item(sequence=3)])
    inbox.trim(2)
    assert inbox.append([item(sequence=3)]) == [3]
    inbox.close()


def test_read_is_bounded_by_bytes_but_gives_one(inbox: SqliteInbox) -> None:
    inbox.append([item(b"x" * 50, sequence=n) for n in (1, 2, 3)])
    assert len(inbox.read(0, max_items=10, max_bytes=10)) == 1
    assert len(inbox.read(0, max_items=10, max_bytes=100)) == 2
    assert len(inbox.read(0, max_items=1, max_bytes=1000)) == 1


def test_wait_tells_of_arrivals(inbox: SqliteInbox) -> None:
    assert inbox.wait(0, 0.01) is False
    inbox.append([item()])
    assert inbox.wait(0, 5) is True


def test_closed_input_refuses_but_can_be_read(inbox: SqliteInbox) -> None:
    inbox.append([item()])
    inbox.close_input()
    with pytest.raises(Busy):
        inbox.append([item(sequence=2)])
    assert len(inbox.read(0, max_items=9, max_bytes=9)) == 1


def test_newer_format_is_refused(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db")
    inbox._reader.execute("UPDATE about SET value='99' WHERE name='format'")
    inbox.close()
    with pytest.raises(Unsupported, match="newer"):
        SqliteInbox(tmp_path / "inbox.db")


@pytest.mark.root
def test_full_disk_stores_nothing_and_goes_on_later(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], check=True)
    try:
        inbox = SqliteInbox(mount / "inbox.db")
        stored = 0
        with pytest.raises(StorageFull):
            for n in range(1, 100):
                inbox.append([item(bytes([n]) * 50_000, sequence=n)])
                stored = n
        assert stored > 0
        found = inbox.read(0, max_items=999, max_bytes=10**9)
        assert [i.sequence for i in found] == list(range(1, stored + 1))
        subprocess.run(["mount", "-o", "remount,size=8m", mount], check=True)
        assert inbox.append([item(b"again", sequence=stored + 1)]) == [found[-1].position + 1]
        inbox.close()
    finally:
        subprocess.run(["umount", mount], check=True)


def test_who_gave_up_does_not_stop_the_writer(inbox: SqliteInbox) -> None:
    gone: Future[list[int | None]] = Future()
    gone.cancel()
    inbox._jobs.put(_Append([item(b"a", sequence=1)], gone))
    assert inbox.submit([item(b"b", sequence=2)]).result(timeout=10) == [1]


def test_it_says_why_it_takes_nothing(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db", max_items=1)
    assert inbox.wrong() == ""
    inbox.append([item(b"a")])
    assert "agents have to wait" in inbox.wrong()
    inbox.trim(1)
    assert inbox.wrong() == ""
    inbox.close()


def test_a_new_file_goes_on_behind_what_consumers_met(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "inbox.db")
    inbox.start_after(50)
    assert (inbox.last, inbox.append([item(b"a")])) == (50, [51])
    inbox.start_after(50)
    assert inbox.append([item(b"b", sequence=2)]) == [52]
    inbox.close()
