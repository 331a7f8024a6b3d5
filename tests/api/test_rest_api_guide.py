"""The guide of the REST API and its tutorial: the tests run their commands, and compare the output."""

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
from tests.docs.replay import steps

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


def without_varying_parts(text: str) -> str:
    for varying, fixed in _VARIES.items():
        text = re.sub(varying, fixed, text)
    return text


@pytest.mark.parametrize(("guide", "least"), {"tutorials/console.md": 10, "rest-api.md": 18}.items())
def test_commands_of_the_guide_print_what_it_shows(fresh_service: Service, guide: str, least: int) -> None:
    pairs = steps(REPOSITORY / "docs" / guide)
    assert len(pairs) >= least
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
