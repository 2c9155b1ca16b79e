from hauberk.ports import Notes


def test_notes_are_bounded_and_say_so():
    notes = Notes(limit=2)
    for number in range(5):
        notes.add(f"/p{number}", ValueError("x"))
    assert [p.where for p in notes.problems] == ["/p0", "/p1", "..."]
    assert notes.problems[0].what == "x"
