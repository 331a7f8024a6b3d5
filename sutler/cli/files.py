"""Files that people name on the command line, also those that Windows' tools saved."""

import codecs
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sutler.cli.output import UsageError

STDIN = "-"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(name: str) -> str:
    """Windows' tools write UTF-16 and byte order marks. Raises UsageError, which quotes nothing of the file."""
    try:
        content = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: {getattr(error, 'strerror', None) or 'no file can have this name'}") from error
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise UsageError(f"{called(name)}: it is not text (UTF-8, or UTF-16 with a byte order mark)") from None


def called(name: str) -> str:
    """What messages call the file."""
    return "standard input" if name == STDIN else name


def objects(content: str, name: str) -> Iterator[Mapping[str, Any]]:
    """The objects in YAML or JSON, lists taken apart. Raises UsageError, which quotes nothing of them."""
    import yaml  # noqa: PLC0415 - 20 ms that most commands don't need

    try:
        found = list(yaml.safe_load_all(content))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{called(name)}: neither YAML nor JSON{where}") from None
    except RecursionError:
        raise UsageError(f"{called(name)}: it is nested too deeply, no object of Kubernetes is") from None
    except ValueError:  # a date that is none, which the YAML reader does not expect
        raise UsageError(f"{called(name)}: neither YAML nor JSON") from None
    for obj in found:
        if isinstance(obj, Mapping):
            items = obj.get("items")
            is_list = str(obj.get("kind", "")).endswith("List") and isinstance(items, list)
            yield from (item for item in items if isinstance(item, Mapping)) if is_list and items else [obj]
