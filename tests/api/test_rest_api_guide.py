"""The guide of the REST API: the tests run its command lines, and compare the output with what it shows."""

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
_END_OF_STEP = "--- end of step ---"


@pytest.fixture(scope="module")
def fresh_service(place: Place, own_ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as `make up` starts it: two pools, and nothing in them."""
    own_ceph.pool("rbd1")
    started = Service(place, own_ceph, tmp_path_factory.mktemp("api-guide"))
    started.start()
    yield started
    started.process.stop()


def commands_with_output() -> list[tuple[str, str]]:
    """Return the command lines of the guide's blocks, which begin with `$`, each with the output below it."""
    guide = (REPOSITORY / "docs" / "rest-api.md").read_text()
    pairs = []
    for block in re.findall(r"^```\n(\$ .*?)^```", guide, flags=re.DOTALL | re.MULTILINE):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = step.partition("\n")
            pairs.append((line, output))
    return pairs


def without_varying_parts(text: str) -> str:
    for varying, fixed in _VARIES.items():
        text = re.sub(varying, fixed, text)
    return text


def test_commands_of_the_guide_print_what_it_shows(fresh_service: Service) -> None:
    pairs = commands_with_output()
    assert len(pairs) >= 18
    script = "".join(f"{line}\necho '{_END_OF_STEP}'\n" for line, _ in pairs)
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
    outputs = ran.stdout.split(f"{_END_OF_STEP}\n")[:-1]
    assert [(line, without_varying_parts(actual)) for (line, _), actual in zip(pairs, outputs, strict=True)] == [
        (line, without_varying_parts(shown)) for line, shown in pairs
    ]
