"""Rewrites GitHub's Markdown as Python-Markdown reads it: lists, and blank lines before blocks. Pure: no I/O."""

import re
from collections.abc import Callable, Iterator

_ITEM = re.compile(r"( *)([-*+]|\d+\.)( +)(?=\S)")
_FENCE = re.compile(r" *(`{3,}|~{3,})")
_LINK = re.compile(r"(`+)(?:(?!\1).)+\1|(\]\()(?![a-z]+:)([^)#\s]+)((?:#[^)\s]*)?\))")
"""A code span, or a link."""
_INDENT = "    "


def adapted(text: str) -> str:
    """Return the text with four columns for each level of a list, and a blank line before lists, tables and fences."""
    return "\n".join(_adapted(text.splitlines())) + "\n"


def _adapted(lines: list[str]) -> Iterator[str]:
    offsets: list[int] = []  # of the content of each open item
    fence, fence_indent, before = "", 0, ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        item, opening = _ITEM.match(line), _FENCE.match(line)
        if fence:
            fence = "" if line.strip() == fence else fence
            yield (_INDENT * len(offsets) + line[min(indent, fence_indent) :]).rstrip()
            before = line
            continue
        if not line.strip():
            yield ""
            before = ""
            continue
        if before and not item and not opening and indent < (offsets[-1] if offsets else 0):
            yield line.strip()  # the paragraph of an item continues without its indent
            continue
        inside = bool(offsets)
        while offsets and indent < offsets[-1]:
            offsets.pop()
        table = line.lstrip().startswith("|") and not before.lstrip().startswith("|")
        if before and (opening or table or (item and not inside)):
            yield ""
        beyond = indent - (offsets[-1] if offsets else 0)
        yield _INDENT * len(offsets) + (line[indent - beyond :] if beyond >= len(_INDENT) else line.strip())
        if opening:
            fence, fence_indent = opening[1], indent
        elif item:
            offsets.append(item.end())
        before = line


def linked(text: str, target: Callable[[str], str]) -> str:
    """Return the text with `target` of the path of each relative link outside of code; anchors stay."""

    def replaced(found: re.Match[str]) -> str:
        return f"{found[2]}{target(found[3])}{found[4]}" if found[2] else found[0]

    fence, lines = "", []
    for line in text.splitlines():
        opening = _FENCE.match(line)
        if fence or opening:
            fence = "" if fence and line.strip() == fence else fence or (opening[1] if opening else "")
        else:
            lines.append(_LINK.sub(replaced, line))
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"
