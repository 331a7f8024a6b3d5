"""Runs the command as its users do: with arguments, standard input and a kubeconfig."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests import inprocess
from tests.cluster import ControlPlane

REPOSITORY = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "import sys; sys.argv[0] = 'sutler'; from sutler.cli.main import main; main()")
CANARIES = re.compile("Password(?!s|:)|UGFzc3dvcmQ|hunter2|aHVudGVyMg|s3cr3t-t0ken")
"""Credentials that the tests use, plain and in base64. No output of the command contains them."""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    def __post_init__(self) -> None:
        """What holds for every run."""
        said = self.out + self.err
        assert not CANARIES.search(said), f"a credential was printed: {said}"
        assert "Traceback" not in said
        assert "a defect in Sutler" not in said, said
        assert said.encode().decode() == said, "a terminal can show it"

    @property
    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


class Run(Protocol):
    def __call__(self, *arguments: str, stdin: str = "") -> Ran: ...


@dataclass(frozen=True)
class Sutler:
    environ: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        return Ran(*inprocess.command(*arguments, environ=self.environ, stdin=stdin))

    def apart(self, *arguments: str, stdin: str = "") -> Ran:
        """As a process of its own."""
        command = [*PROGRAM, *arguments]
        ran = subprocess.run(
            command, input=stdin, env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Of a user who has no cluster."""
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", "KUBECONFIG": str(tmp_path / "none")}
    environ.pop("SUTLER_NAMESPACE", None)
    return environ


@pytest.fixture
def offline(environ: dict[str, str]) -> Run:
    return Sutler(environ)


@pytest.fixture
def sutler(environ: dict[str, str], control_plane: ControlPlane, crds: None, namespace: str) -> Iterator[Sutler]:
    """At a real API server. Sutler's own namespace is the test's."""
    del crds
    yield Sutler({**environ, "KUBECONFIG": str(control_plane.kubeconfig), "SUTLER_NAMESPACE": namespace})
    # Mappings belong to the whole cluster, which the tests share.
    control_plane.kubectl("delete", "registrymappings", "--all")


@pytest.fixture
def registered(control_plane: ControlPlane) -> Iterator[None]:
    """The webhook is registered, but not served: Pods are created without it."""
    file = str(REPOSITORY / "manifests" / "base" / "webhook-configuration.yaml")
    control_plane.kubectl("apply", "-f", file)
    yield
    control_plane.kubectl("delete", "-f", file)


@pytest.fixture
def team(control_plane: ControlPlane, namespace: str, registered: None) -> Iterator[str]:
    """A namespace of an application team, labelled team=a. Sutler's own is another one."""
    del registered
    name = f"{namespace}-team"
    control_plane.create_namespace(name)
    control_plane.kubectl("label", "namespace", name, "team=a")
    yield name
    control_plane.empty_namespace(name)
