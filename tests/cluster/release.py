"""The last release's source tree: by its tag, else by the date that the changelog gives it."""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def last_release() -> str | None:
    """The commit of the newest release that the changelog names; None where the history is not there."""
    version, date = _HEADING.findall((REPOSITORY / "CHANGELOG.md").read_text())[0]
    tag = _git("rev-parse", "--verify", "--quiet", f"v{version}^{{commit}}")
    return tag or _git("rev-list", "-1", f"--before={date}T23:59:59Z", "HEAD") or None


def unpack(commit: str, folder: Path) -> Path:
    """Write the commit's files below `folder`."""
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, capture_output=True, timeout=60, check=True)
    subprocess.run(["tar", "--extract"], cwd=folder, input=archive.stdout, timeout=60, check=True)
    return folder


def _git(*words: str) -> str:
    ran = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout.strip() if ran.returncode == 0 else ""
