from __future__ import annotations

import json
from pathlib import Path

import pytest

from hauberk.api.words import ABOUT, WORDS

I18N = Path(__file__).resolve().parents[3] / "console/src/i18n"


def flat(tree, before=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield before + key, value


@pytest.mark.parametrize(("file", "language"), [("en.json", "en"), ("zh.json", "zh")])
def test_files_have_the_words_of_the_screen(file, language):
    screen = dict(flat(json.loads((I18N / file).read_text(encoding="utf-8"))))
    ours = {key: getattr(title, language) for key, title in WORDS.items()}
    assert ours == {key: screen.get(key) for key in WORDS}


@pytest.mark.parametrize(
    "group", ["activity.", "agent.", "change.", "machine.", "task.states.", "task.kind."]
)
def test_no_state_of_the_screen_lacks_a_word(group):
    screen = dict(flat(json.loads((I18N / "en.json").read_text(encoding="utf-8"))))
    known = {k for k in screen if k.startswith(group)}
    pages = {"change.sub", "change.example", "change.none", "change.noneFiltered"}
    assert {k for k in known if not k.startswith("agent.") or k in WORDS} - pages <= set(WORDS)


def test_every_word_has_both_languages():
    for title in [*WORDS.values(), *ABOUT.values()]:
        assert title.en
        assert title.zh
    assert not set(WORDS) & set(ABOUT)
