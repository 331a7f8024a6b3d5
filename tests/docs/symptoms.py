"""The page of symptoms: a heading for each message in docs/troubleshooting.md, and whole messages of kubelets."""

import json
import re
from collections.abc import Iterator

from tests.conftest import REPOSITORY

_SOURCE = REPOSITORY / "docs" / "troubleshooting.md"
_EXAMPLES = REPOSITORY / "tests" / "cli" / "kubelet_messages.json"
_MOST_EXAMPLES = 3
_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_TABLE = re.compile(r"^\| (.+?) \|.*\n\|---.*\n((?:\|.*\n)+)", re.MULTILINE)
_ROW = re.compile(r"^\| (.*?) \|(?: (.*?) \|)?(?: (.*?) ?\|)?$", re.MULTILINE)
_MESSAGE = re.compile(r"`([^`]+)`|\"([^\"]+)\"")
_PARAGRAPH = re.compile(r"^\*\*(.+?)\.?\*\* (.+?)(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)


def symptoms() -> str:
    parts = [
        "# Symptoms and messages\n",
        "Search this page for the message that you see: in `kubectl describe`, in a status, in a log or in an alert.",
        "[Troubleshooting](troubleshooting.md) has the same in tables, and the commands that find most causes.\n",
    ]
    for title, text in _SECTION.findall(_SOURCE.read_text()):
        parts.append(f"## {title}\n")
        if title == "Alerts":
            names = re.findall(r"^### (\w+)$", text, re.MULTILINE)
            parts += [f"- [{name}](troubleshooting.md#{name.lower()})" for name in names]
            continue
        for heading, answer in _PARAGRAPH.findall(text):
            if not answer.endswith(":"):  # and then a table
                parts += [f"### {heading}\n", f"{answer.strip()}\n"]
        for first, table in _TABLE.findall(text):
            of_kubelet = "kubelet" in first
            parts += [part for row in _ROW.findall(table) for part in _entry(*row, of_kubelet=of_kubelet)]
    return "\n".join(parts).rstrip() + "\n"


def _entry(symptom: str, cause: str, fix: str, *, of_kubelet: bool) -> Iterator[str]:
    cell = symptom.replace("\\|", "|")
    yield f"### {cell[0].upper()}{cell[1:]}\n"
    yield f"{_sentence(cause)}\n"
    if fix:
        yield f"**What to do:** {_sentence(fix, capital=False)}\n"
    if of_kubelet and (examples := list(_examples(cell))[:_MOST_EXAMPLES]):
        yield "Whole messages of kubelets:\n"
        yield "````\n" + "\n".join(examples) + "\n````\n"


def _sentence(cell: str, *, capital: bool = True) -> str:
    text = cell.replace("\\|", "|").strip()
    text = text[:1].upper() + text[1:] if capital else text
    return text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."


def _examples(cell: str) -> Iterator[str]:
    """One whole message for each fragment in the cell."""
    messages = [message for kind in json.loads(_EXAMPLES.read_text()).values() for message in kind]
    seen = set[str]()
    for fragment in (code or quoted for code, quoted in _MESSAGE.findall(cell)):
        for message in messages:
            if fragment in message and message not in seen:
                seen.add(message)
                yield " ".join(message.split())
                break
