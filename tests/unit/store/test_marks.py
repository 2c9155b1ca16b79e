from __future__ import annotations

from sqlalchemy import select
from storekit import Kit, item

from hauberk.store.database import read, write
from hauberk.store.marks import Marks
from hauberk.store.tables_fleet import mark


def stored(kit: Kit) -> dict[tuple[str, str], int]:
    with read(kit.engine) as db:
        return {(r.consumer, r.agent): r.sequence for r in db.execute(select(mark))}


def take(marks: Marks, *sequences: int, agent: str = "a") -> list[int]:
    taken = []
    for sequence in sequences:
        one = item(sequence=sequence, agent=agent)
        marks.load([one])
        if not marks.repeated(one):
            marks.note(one)
            marks.keep()
            taken.append(sequence)
    return taken


def test_what_comes_again_is_known_also_after_a_restart(kit: Kit) -> None:
    marks = Marks(kit.engine, "lake", kit.clock)
    # Gaps are what the spool dropped; only what is not above the highest one is a repetition.
    assert take(marks, 1, 2, 5, 2, 5, 6) == [1, 2, 5, 6]
    assert take(marks, 1, agent="b") == [1]
    with write(kit.engine) as db:
        marks.store(db)
    marks.stored()
    assert stored(kit) == {("lake", "a"): 6, ("lake", "b"): 1}
    assert take(Marks(kit.engine, "lake", kit.clock), 6, 7) == [7]
    assert take(Marks(kit.engine, "state", kit.clock), 1) == [1]


def test_what_was_not_taken_is_no_repetition(kit: Kit) -> None:
    marks = Marks(kit.engine, "lake", kit.clock)
    one = item(sequence=1)
    marks.load([one])
    marks.note(one)
    assert marks.repeated(one)
    marks.undo()
    assert not marks.repeated(one)


def test_what_was_not_stored_is_forgotten_with_the_memory(kit: Kit) -> None:
    marks = Marks(kit.engine, "lake", kit.clock)
    take(marks, 1, 2)
    marks.reset()
    assert take(marks, 1, 2) == [1, 2]
    assert stored(kit) == {}


def test_memory_is_bounded_and_nothing_is_lost_by_it(kit: Kit, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("hauberk.store.marks._MAX", 3)
    marks = Marks(kit.engine, "lake", kit.clock)
    for n in range(10):
        take(marks, 4, agent=f"a{n}")
        with write(kit.engine) as db:
            marks.store(db)
        marks.stored()
    assert len(marks._stored) == 3
    assert take(marks, 4, agent="a0") == []
