from hauberk.schema.taxonomy import CLASSES, SUBCLASSES


def test_nine_classes_and_38_subclasses():
    assert len(CLASSES) == 9
    assert [len(c.subclasses) for c in CLASSES] == [4, 3, 5, 4, 5, 4, 3, 5, 5]
    assert len(SUBCLASSES) == 38


def test_ids_and_titles_in_both_languages():
    for cls in CLASSES:
        for part in (cls, *cls.subclasses):
            assert part.title.en.strip()
            assert any("一" <= c <= "鿿" or c.isascii() for c in part.title.zh)
            assert part.title.zh.strip()
        assert all(s.id.startswith(f"{cls.id}.") for s in cls.subclasses)
    titles = [s.title for s in SUBCLASSES.values()]
    assert len({t.en for t in titles}) == len({t.zh for t in titles}) == 38
