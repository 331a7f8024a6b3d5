"""This machine's apt: its sources converted for another use, and its settings of transport. Both are only read."""

import re
import subprocess
from pathlib import Path

from tests.cluster import sources
from tests.cluster.errors import ClusterError

_LIST, _FOLDER = Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d")
# How this machine reaches its mirror. A mirror that stands still has lists whose time is over.
_TRANSPORT = re.compile(r'^Acquire::(?:https?::(?:Proxy|Timeout)\b.*|Check-Valid-Until|Check-Date) "(?!").*";$')


def mirrors(folder: Path, suite: str, kind: str) -> list[Path]:
    """Files in `folder` that name a Debian `suite` where this machine's own name the suite of its own release.

    Raises:
        ClusterError: this machine is no Debian, or has no mirror of its archive.
    """
    release = codename()
    written = _write_sources(folder, {release: suite}, kind) if release else []
    if not written:
        raise ClusterError(
            f"no file in {_LIST.parent} names a mirror of Debian's own suites, and a Debian {suite} comes from there"
        )
    return written


def _write_sources(folder: Path, wanted: dict[str, str], kind: str) -> list[Path]:
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
