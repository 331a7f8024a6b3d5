"""The Dockerfile's own steps, run where there is no Docker: all but those of apt-get, with other folders."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.environment import PACKAGES
from tests.conftest import REPOSITORY

Step = tuple[str, str]


def steps() -> list[Step]:
    """Instruction and arguments, continuation lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def stages() -> list[list[Step]]:
    found: list[list[Step]] = []
    for step in steps():
        if step[0] == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def test_it_copies_every_package_and_all_that_the_build_reads() -> None:
    copied = {word for name, rest in stages()[0] if name == "COPY" for word in rest.split()[:-1]}
    assert copied == {*PACKAGES, "LICENSE", "pyproject.toml", "README.md", "constraints.txt"}
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == copied, "what is not sent to the builder can't be copied there"


def test_what_runs_is_nobody_and_the_manifests_command_works() -> None:
    last = dict(stages()[-1])
    assert last["USER"] == "65532:65532"
    assert last["ENV"].startswith("PATH=/opt/sutler/bin:")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_its_steps_make_an_environment_without_anything_of_development(tmp_path: Path) -> None:
    """Fetches the packages, like `make venv`, unless pip still has them."""
    source = tmp_path / "src"
    source.mkdir()
    places = {"/opt/sutler": tmp_path / "sutler", "/wheels": tmp_path / "wheels"}
    links = [step for step in stages()[1] if "dist-packages" in step[1]]
    assert len(links) == 1
    for name, rest in [*stages()[0], *links]:
        if name == "COPY":
            *originals, _ = rest.split()
            for original in originals:
                copy(REPOSITORY / original, source / original)
        elif name == "RUN" and "apt-get" not in rest:
            line = rest.replace("python3 -m venv", "/usr/bin/python3 -m venv")
            for there, here in places.items():
                line = line.replace(there, str(here))
            ran = subprocess.run(["sh", "-ec", line], cwd=source, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, f"{line}\n{ran.stderr}"
    packages = {path.name.partition("-")[0] for path in places["/opt/sutler"].rglob("*.dist-info")}
    assert {"sutler", "aiohttp", "uvloop"} <= packages
    assert packages & {"pip", "setuptools", "pytest", "mypy", "ruff", "schemathesis", "hypothesis"} == set()
    python = places["/opt/sutler"] / "bin" / "python3"
    imported = "import rados, rbd, sutler; from provisioner.api import process; print(sutler.__file__)"
    said = subprocess.run([python, "-c", imported], cwd="/", capture_output=True, text=True, check=True).stdout
    assert said.startswith(str(places["/opt/sutler"]))


def copy(original: Path, target: Path) -> None:
    if original.is_dir():
        shutil.copytree(original, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(original, target)
