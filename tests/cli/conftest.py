"""The command as its users have it: a process of its own, with a kubeconfig, and nothing else."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import ControlPlane

REPOSITORY = Path(__file__).parents[2]
CANARIES = re.compile("Password(?!s)|UGFzc3dvcmQ|hunter2|aHVudGVyMg|s3cr3t-t0ken")
"""Credentials that the tests use, plain and in base64. Whatever the command prints holds none of them."""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Sutler:
    """Runs the command, and sees to what holds for every run."""

    environ: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        ran = subprocess.run(
            [sys.executable, "-c", "from sutler.cli import main; main()", *arguments],
            input=stdin,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = ran.stdout + ran.stderr
        assert not CANARIES.search(said), f"a credential was printed: {said}"
        assert "Traceback" not in said
        assert "defect" not in said, said
        return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def offline(tmp_path: Path) -> Sutler:
    """Where there is no cluster."""
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", "KUBECONFIG": str(tmp_path / "none")}
    environ.pop("SUTLER_NAMESPACE", None)
    return Sutler(environ)


@pytest.fixture
def sutler(offline: Sutler, control_plane: ControlPlane, crds: None, namespace: str) -> Sutler:
    """At a real API server. Sutler's own namespace is the test's."""
    del crds
    return Sutler({**offline.environ, "KUBECONFIG": str(control_plane.kubeconfig), "SUTLER_NAMESPACE": namespace})


@pytest.fixture
def registered(control_plane: ControlPlane) -> Iterator[None]:
    """The webhook is registered, though nobody serves it: Pods are created without its help."""
    file = str(REPOSITORY / "manifests" / "base" / "webhook-configuration.yaml")
    control_plane.kubectl("apply", "-f", file)
    yield
    control_plane.kubectl("delete", "-f", file)


@pytest.fixture(autouse=True)
def _no_mappings_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Mappings belong to the whole cluster, which the tests share."""
    yield
    if "sutler" in request.fixturenames:
        plane: ControlPlane = request.getfixturevalue("control_plane")
        plane.kubectl("delete", "registrymappings", "--all")
