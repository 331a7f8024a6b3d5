"""Text for messages: shortened, quoted, and without control characters. Pure: no I/O."""

import unicodedata

LONGEST_TEXT = 256
_QUOTED = 80
_CUT = " … "
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of writing: a text could be read as another one."""


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` in one line of at most `longest` characters."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def without_middle(text: str, longest: int) -> str:
    """`text` in one line of at most `longest` bytes of UTF-8, cut in the middle: its end says what to do."""
    whole = " ".join(text.split()).encode(errors="replace")
    if len(whole) <= longest:
        return whole.decode()
    kept = longest - len(_CUT.encode())
    head = kept // 2
    # Incomplete characters at the cut are dropped.
    return whole[:head].decode(errors="ignore") + _CUT + whole[head - kept :].decode(errors="ignore")


def quoted(text: str) -> str:
    """The text for a message: quoted, escaped and shortened."""
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


def sanitized(text: str) -> str:
    """The text without characters that control a terminal: any user may have written it into an object.

    Halves of surrogate pairs, which JSON can hold, can't be printed at all.
    """
    return "".join(
        "?"
        if character in _DIRECTIONS or (character != "\n" and unicodedata.category(character) in {"Cc", "Cs"})
        else character
        for character in text
    )


def format_size(size: int | None) -> str:
    """1610612736 as 1.5Gi, rounded."""
    if size is None:
        return "-"
    value, step = float(size), 0
    units = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
    while value >= 1024 and step < len(units) - 1:  # noqa: PLR2004 - the step between the units
        value, step = value / 1024, step + 1
    return f"{value:.3g}{units[step]}" if step else str(size)
