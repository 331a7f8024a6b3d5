"""Runs the commands of a tutorial as a reader would, and compares their output with what the tutorial shows."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.conftest import REPOSITORY

_CHANGES = re.compile(r"\b(?:create|apply|patch|delete|add|remove)\b")
_ASSIGNMENT = re.compile(r"([A-Z_]+)=")
_SECONDS = 60
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VARIES = {
    _UUID: "UUID",
    r"\b(?:\d+m)?\d+s\b": "AGE",
    r" +": " ",
    "ImagePullBackOff": "ErrImagePull",  # the kubelet reports one after the other
    " from default namespace": "",  # only newer releases of kubectl say so
}


class Step(NamedTuple):
    line: str
    """The command line."""
    shown: str
    """Its output; `…` represents any text."""


def steps(guide: Path) -> list[Step]:
    """Return the command lines of a guide's blocks that begin with `$`, each with the output below it."""
    blocks = re.findall(r"^```\n(\$ .*?)^```", guide.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = (step.partition("\n") for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:])
    return [Step(line, shown) for line, _, shown in found]


def replay(tutorial: str, environment: Mapping[str, str]) -> None:
    """Run a tutorial of docs/tutorials. A command that changes nothing is repeated until it prints what is shown."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, **environment}
    for line, shown in steps(REPOSITORY / "docs" / "tutorials" / tutorial):
        if name := _ASSIGNMENT.match(line):
            variables[name[1]] = _output(f'{line}\nprintf %s "${name[1]}"', variables)
            continue
        actual = _run(line, shown, variables, seconds=0 if _CHANGES.search(line) else _SECONDS)
        assert _is_as(shown, actual), f"{line}\nshown:\n{shown}\nprinted:\n{actual}"


def _run(script: str, shown: str, variables: Mapping[str, str], seconds: float) -> str:
    """Return what the script prints, at the latest after these seconds of attempts."""
    end = time.monotonic() + seconds
    while not _is_as(shown, actual := _output(script, variables)) and time.monotonic() < end:
        time.sleep(0.5)
    return actual


def _output(script: str, variables: Mapping[str, str]) -> str:
    command = ["bash", "-c", script]
    ran = subprocess.run(
        command, env=variables, cwd=REPOSITORY, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    return ran.stdout or ran.stderr


def _is_as(shown: str, actual: str) -> bool:
    pattern = re.escape(_fixed(shown)).replace("\\\n…", ".*").replace("…", ".*")
    return re.fullmatch(pattern, _fixed(actual), re.DOTALL) is not None


def _fixed(text: str) -> str:
    for varying, fixed in _VARIES.items():
        text = re.sub(varying, fixed, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())
