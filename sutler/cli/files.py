"""Files named on the command line, including those saved by Windows tools."""

import codecs
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sutler.cli.exit_codes import UsageError

STDIN = "-"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(name: str) -> str:
    """The text of a file, or of standard input for `-`.

    Windows tools write UTF-16 and byte order marks. Raises UsageError, which quotes nothing of the file.
    """
    try:
        content = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: {getattr(error, 'strerror', None) or 'invalid file name'}") from error
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise UsageError(f"{display_name(name)}: not text (expected UTF-8, or UTF-16 with a byte order mark)") from None


def display_name(name: str) -> str:
    """The file's name for messages."""
    return "standard input" if name == STDIN else name


def objects(content: str, name: str) -> Iterator[Mapping[str, Any]]:
    """The objects in YAML or JSON, with lists expanded. Raises UsageError, which quotes nothing of them."""
    import yaml  # noqa: PLC0415 - 20 ms that most commands do without

    try:
        found = list(yaml.safe_load_all(content))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{display_name(name)}: neither YAML nor JSON{where}") from None
    except RecursionError:
        raise UsageError(f"{display_name(name)}: nested too deeply for a Kubernetes object") from None
    except ValueError:  # an invalid date, for which PyYAML raises no YAMLError
        raise UsageError(f"{display_name(name)}: neither YAML nor JSON") from None
    for obj in found:
        if isinstance(obj, Mapping):
            items = obj.get("items")
            is_list = str(obj.get("kind", "")).endswith("List") and isinstance(items, list)
            yield from (item for item in items if isinstance(item, Mapping)) if is_list and items else [obj]
