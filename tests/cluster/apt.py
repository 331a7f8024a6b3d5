"""This machine's apt: its sources converted for another use, and its settings of transport. Both are only read."""

import re
import subprocess
from pathlib import Path

from tests.cluster import sources

_LIST, _FOLDER = Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d")
# How this machine reaches its mirror. A mirror that stands still has lists whose time is over.
_TRANSPORT = re.compile(r'^Acquire::(?:https?::(?:Proxy|Timeout)\b.*|Check-Valid-Until|Check-Date) "(?!").*";$')


def write_sources(folder: Path, wanted: dict[str, str], kind: str) -> list[Path]:
    """Write what this machine's files say of the suites `wanted` into `folder`, as files of the same names."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file in (_LIST, *sorted(_FOLDER.glob("*"))):
        convert = {".list": sources.from_list, ".sources": sources.from_deb822}.get(file.suffix)
        if convert and file.is_file() and (text := convert(file.read_text(), wanted, kind)):
            (folder / file.name).write_text(text)
            written.append(folder / file.name)
    return written


def transport() -> list[str]:
    """The settings, as lines of apt.conf."""
    said = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, timeout=30, check=True).stdout
    return [line for line in said.splitlines() if _TRANSPORT.match(line)]


def codename() -> str:
    """Of this machine's release of Debian; empty where it is none."""
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"') if fields.get("ID", "").strip('"') == "debian" else ""
