"""`python -m tests.runs`: the tests, on the releases that matter.

`test` runs all of them on the default Kubernetes and Ceph, and a short core on the oldest ones. `matrix` runs what
starts a real part on each combination, those of Ceph also with librados and librbd of other releases, and writes
docs/versions.md.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.cluster import ClusterError, binaries, ceph_programs, dockerfile, go, machine, packages
from tests.runs import report
from tests.runs.clients import TESTED, Client

REPOSITORY = Path(__file__).parents[2]
STATE = REPOSITORY / ".state" / "runs"
VERSIONS = REPOSITORY / "docs" / "versions.md"
OLDEST_CEPH = "16"
# Injection, copies, claims, deletion, the REST API and the manifests.
CORE = (
    "tests/system/test_claims.py",
    "tests/system/test_pods.py",
    "tests/secrets/test_copies.py::test_copies_reach_every_selected_namespace_and_no_other",
    "tests/secrets/test_copies.py::test_rotation_reaches_the_copies_in_place",
    "tests/secrets/test_copies.py::test_foreign_secret_survives_the_mapping",
    "tests/volumes/test_lifecycle.py",
    "tests/api/test_images.py::test_image_is_created_listed_and_removed",
    "tests/manifests/test_overlays.py",
)
# That many may fail beside others and pass alone: real servers on a busy machine can miss a deadline.
_MAY_PASS_ALONE = 3
_FAILED, _NONE_RAN = 1, 5
# The others know of no release.
_WITH_REAL_PARTS = ("-m", "cluster and not long")


@dataclass(frozen=True)
class Ground:
    kubernetes: str
    ceph: str
    client: str | None = None
    """The release of librados and librbd, which then comes from another Debian; None: this machine's."""

    @property
    def state(self) -> Path:
        client = f"-client-{self.client}" if self.client else ""
        return STATE / f"kubernetes-{self.kubernetes}-ceph-{self.ceph}{client}"

    @property
    def client_version(self) -> str:
        return Client(self.client).version if self.client else ceph_programs.version_of_this_machine()

    def built(self) -> None:
        """Before the tests, whose time-outs know nothing of builds."""
        kubernetes = binaries.ensured(*binaries.CONTROL_PLANE, version=self._version)
        if not machine.missing():
            binaries.ensured(*binaries.NODE, version=self._version)
            kubernetes.containerd  # noqa: B018 - builds it where it has to
            dockerfile.ensured()
        go.Testbed("helm").ensured()
        for release in ceph_programs.SUITES:  # tests of the ground start each of them
            ceph_programs.ensured(release)
        if self.client:
            Client(self.client).ensured()

    def pytest(self, arguments: Sequence[str], output: TextIO | None = None) -> int:
        """Its exit status; `output` gets what it prints, in place of standard output and error."""
        self.state.mkdir(parents=True, exist_ok=True)
        given = ["-o", f"cache_dir={self.state / 'cache'}", f"--junitxml={self.state / 'report.xml'}"]
        environment = {**os.environ, "CEPH": self.ceph}
        if self._version:
            environment["KUBERNETES"] = self._version
        client = f", librados of Ceph {self.client}" if self.client else ""
        print(f"== Kubernetes {self.kubernetes}, Ceph {self.ceph}{client}", file=output, flush=True)
        if self.client:
            return Client(self.client).pytest([*given, *arguments, *TESTED], environment)
        command = [sys.executable, "-m", "pytest", *given, *arguments]
        error = None if output is None else subprocess.STDOUT
        ran = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=error, check=False)
        return ran.returncode

    def pytest_beside(self, arguments: Sequence[str]) -> int:
        """As `pytest` in one worker, with what it prints in one piece at its end, for a run beside another."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "output").open("w+") as output:
            status = self.pytest([*arguments, "--numprocesses=1"], output)
            output.seek(0)
            print(output.read(), end="", flush=True)
        return status

    def failed(self) -> set[str]:
        """The tests that failed when they last ran."""
        listed = self.state / "cache" / "v" / "cache" / "lastfailed"
        return set(json.loads(listed.read_text())) if listed.exists() else set()

    @property
    def _version(self) -> str | None:
        return None if self.kubernetes == _GIVEN else self.kubernetes


_GIVEN = "of KUBEBUILDER_ASSETS"
_OLDEST = Ground(packages.OLDEST, OLDEST_CEPH)


def main() -> int:
    arguments, pytest = _parser().parse_known_args()
    try:
        if arguments.command == "matrix":
            return matrix([Ground(*one.split("/")) for one in arguments.on] or everywhere(), pytest)
        return test(pytest, again=arguments.again)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def test(arguments: list[str], *, again: bool) -> int:
    """All tests on the default ground, and beside them the core on the oldest one where it can be had."""
    default = Ground(_GIVEN if binaries.assets_folder() else packages.kubernetes(), ceph_programs.named())
    grounds = {default: arguments}
    if default != _OLDEST and not binaries.assets_folder():
        grounds[_OLDEST] = [*arguments, *CORE]
    default.built()
    left_out = ""
    try:  # before the first test: builds take longer than tests, and may fail
        for ground in grounds:
            ground.built()
    except ClusterError as error:
        left_out = f"The core on Kubernetes {_OLDEST.kubernetes} and Ceph {_OLDEST.ceph} does not run: {error}"
        print(left_out, flush=True)
        del grounds[_OLDEST]
    statuses, passed_alone = [], list[str]()
    others = {ground: chosen for ground, chosen in grounds.items() if ground != default}
    # The oldest releases need one worker for as long as a third of the run takes: after it, cores would wait for tests.
    with ThreadPoolExecutor() as threads:
        beside = {ground: threads.submit(ground.pytest_beside, chosen) for ground, chosen in others.items()}
        ended = {default: default.pytest(arguments)} | {ground: one.result() for ground, one in beside.items()}
    for ground, ended_with in ended.items():
        status, names = alone(ground) if ended_with == _FAILED and again else (ended_with, [])
        statuses.append(status)
        passed_alone += names
    if left_out:
        print(left_out)
    if passed_alone:
        print("These tests failed beside others, and passed when they ran alone:", *sorted(passed_alone), sep="\n  ")
    if len(passed_alone) > _MAY_PASS_ALONE:
        print(f"That are more than {_MAY_PASS_ALONE}: something is wrong with them.")
        return _FAILED
    return max(statuses)


def alone(ground: Ground) -> tuple[int, list[str]]:
    """Once more those that failed, one after the other: the exit status, and the names of those that passed now."""
    before = ground.failed()
    print(f"Some tests failed. Once more those {len(before)} alone, one after the other:", flush=True)
    # In a worker: one that hangs for good takes that down, and not the run.
    status = ground.pytest(["--last-failed", "--last-failed-no-failures=none", "--numprocesses=1"])
    return (0 if status == _NONE_RAN else status), sorted(before - ground.failed())


def everywhere() -> list[Ground]:
    """Each combination, and each other client with each Ceph."""
    oldest, *_, newest = binaries.versions()
    others = set(ceph_programs.SUITES) - {ceph_programs.of_this_machine()}
    return [
        *(Ground(kubernetes, ceph) for kubernetes in (oldest, newest) for ceph in ceph_programs.SUITES),
        *(Ground(newest, ceph, client) for client in sorted(others) for ceph in ceph_programs.SUITES),
    ]


def matrix(grounds: list[Ground], arguments: list[str]) -> int:
    """The tests that start a real part on each of `grounds`; the table has what ran earlier, too."""
    status = 0
    for ground in grounds:
        ground.built()
        ran = ground.pytest([*_WITH_REAL_PARTS, *arguments])
        whole = (ground.state / "report.xml").rename(ground.state / "whole.xml")
        ran, passed_alone = alone(ground) if ran == _FAILED else (ran, [])
        status = max(status, ran)
        outcome = report.read(
            whole,
            passed_alone,
            kubernetes=ground.kubernetes,
            ceph=ground.ceph,
            client=ground.client_version,
            tests=", ".join(TESTED) if ground.client else "all",
        )
        (ground.state / "outcome.json").write_text(json.dumps(outcome.dump(), indent=1))
        outcomes = [report.Outcome.load(json.loads(one.read_text())) for one in sorted(STATE.glob("*/outcome.json"))]
        VERSIONS.write_text(report.document(outcomes))
    print(VERSIONS.read_text())
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.runs", description=__doc__, epilog="The rest goes to pytest."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("test", help="all on the default releases, a core on the oldest")
    one.add_argument("--again", action="store_true", help="run what failed once more alone, and accept a few that pass")
    many = commands.add_parser("matrix", help="those that start a real part on each combination of releases")
    many.add_argument(
        "--on", nargs="*", default=[], metavar="KUBERNETES/CEPH[/CLIENT]", help="as in 1.20/18; default: each"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
