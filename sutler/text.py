"""Text for messages: shortened, quoted, and without what could steer a terminal. Pure."""

import unicodedata

LONGEST_TEXT = 256
_QUOTED = 80
_CUT = " … "
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the direction in which a terminal writes: a text could be read as another."""


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` in one line of at most `longest` characters."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def without_middle(text: str, longest: int) -> str:
    """`text` in one line of at most `longest` bytes of UTF-8. What to do about it stands at the end, and is kept."""
    whole = " ".join(text.split()).encode(errors="replace")
    if len(whole) <= longest:
        return whole.decode()
    kept = longest - len(_CUT.encode())
    head = kept // 2
    # Half a letter at a cut is left away.
    return whole[:head].decode(errors="ignore") + _CUT + whole[head - kept :].decode(errors="ignore")


def quoted(text: str) -> str:
    """The text for a message: quoted, what can't be printed escaped, cut short (it may be 10 kB of anything)."""
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


def sanitized(text: str) -> str:
    """Texts come out of objects that anybody may have written: none of them gets to steer the terminal.

    Halves of surrogate pairs, which JSON can hold, can't be printed at all.
    """
    return "".join(
        "?"
        if character in _DIRECTIONS or (character != "\n" and unicodedata.category(character) in {"Cc", "Cs"})
        else character
        for character in text
    )


def format_size(size: int | None) -> str:
    """1610612736 as 1.5Gi: for eyes, rounded."""
    if size is None:
        return "-"
    value, step = float(size), 0
    units = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
    while value >= 1024 and step < len(units) - 1:  # noqa: PLR2004 - the step between the units
        value, step = value / 1024, step + 1
    return f"{value:.3g}{units[step]}" if step else str(size)
