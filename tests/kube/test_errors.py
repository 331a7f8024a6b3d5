"""Texts that are cut."""

import pytest

from sutler.text import without_middle


@pytest.mark.parametrize("letter", ["a", "ä", "…", "😀"])
@pytest.mark.parametrize("longest", [40, 41, 42, 43, 1024])
def test_middle_is_left_away_and_the_end_is_kept(letter: str, longest: int) -> None:
    text = without_middle(f"volume x: {letter * 3000}: do this", longest)
    assert longest - 6 <= len(text.encode()) <= longest
    assert text.startswith("volume x: ")
    assert text.endswith(": do this")
    assert " … " in text


def test_short_text_is_left_in_one_line_and_odd_characters_do_no_harm() -> None:
    assert without_middle("a\n  b", 1024) == "a b"
    assert without_middle("a" * 1024, 1024) == "a" * 1024
    assert without_middle("\ud800", 1024) == "?"
