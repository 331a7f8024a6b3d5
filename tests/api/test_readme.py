"""Runs the commands of the README's chapter on the REST API, and compares their output with it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import ADMIN
from tests.api.conftest import Service
from tests.cluster import Ceph, Place
from tests.conftest import REPOSITORY

_VARIES = {
    r'("fsid":)"[0-9a-f-]{36}"': r'\1"…"',
    r'("looked":)"[0-9-]+T[0-9:]+Z"': r'\1"…"',
    r"(urn:sutler:request:)[0-9a-f]{16}": r"\1…",
}
_DONE = "--- that was it ---"


@pytest.fixture(scope="module")
def fresh_service(place: Place, own_ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """As `make up` leaves it: two pools, and nothing in them."""
    own_ceph.pool("rbd1")
    started = Service(place, own_ceph, tmp_path_factory.mktemp("api-readme"))
    started.start()
    yield started
    started.process.stop()


def typed_and_told() -> list[tuple[str, str]]:
    """Command lines with what comes back, from the blocks where a `$` shows what is typed."""
    text = (REPOSITORY / "README.md").read_text()
    chapter = text[text.index("## For consoles") :].split("\n## ", 1)[0]
    pairs = []
    for block in re.findall(r"^```\n(\$ .*?)^```", chapter, flags=re.DOTALL | re.MULTILINE):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = step.partition("\n")
            pairs.append((line, output))
    return pairs


def steady(text: str) -> str:
    for varying, fixed in _VARIES.items():
        text = re.sub(varying, fixed, text)
    return text


def test_lines_of_the_readme_give_what_it_shows(fresh_service: Service) -> None:
    pairs = typed_and_told()
    assert len(pairs) >= 18
    script = "".join(f"{line}\necho '{_DONE}'\n" for line, _ in pairs)
    variables = {
        "SUTLER_API_URL": fresh_service.url,
        "SUTLER_API_CA": str(fresh_service.api.authority),
        "SUTLER_API_TOKEN": ADMIN,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["bash", "-s"]
    ran = subprocess.run(
        command,
        input=script,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    told = ran.stdout.split(f"{_DONE}\n")[:-1]
    assert [(line, steady(was)) for (line, _), was in zip(pairs, told, strict=True)] == [
        (line, steady(said)) for line, said in pairs
    ]
