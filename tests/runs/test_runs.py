"""What a run says of itself: a hung test ends and the others go on, a table is made of what came out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from tests.cluster import packages
from tests.conftest import REPOSITORY
from tests.runs import __main__ as runs
from tests.runs import report

# As librbd's calls do: deaf to the exception that a time-out raises.
HANGS = """
import threading, time, pytest
from concurrent.futures import ThreadPoolExecutor

@pytest.mark.timeout(1)
def test_that_hangs():
    with ThreadPoolExecutor(1) as threads:
        threads.submit(threading.Event().wait).result()

def test_that_passes():
    pass

@pytest.mark.skip(reason="no reason")
def test_that_is_skipped():
    pass
"""


@pytest.mark.cluster  # nothing but workers, which take their time
@pytest.mark.timeout(300)
def test_hung_test_fails_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HANGS)
    (tmp_path / "conftest.py").write_text(
        "import tests.conftest\ntests.conftest.END_SECONDS = 1\n"
        "from tests.conftest import pytest_runtest_protocol, pytest_runtest_setup\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 100\n")
    # In workers as `make test` has them: what has crashed is given to the next one again.
    options = ["-p", "no:cacheprovider", "-n", "1", "--dist", "loadfile", f"--junitxml={tmp_path / 'report.xml'}"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert "1 passed, 1 skipped" in ran.stdout, ran.stdout + ran.stderr
    assert "test_that_hangs did not end by its time-out" in ran.stderr + ran.stdout
    outcome = report.read(tmp_path / "report.xml", kubernetes="1.37", ceph="18", client="16.2.15")
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 1, 1)
    assert "no reason" in next(iter(outcome.reasons))
    assert report.Outcome.load(json.loads(json.dumps(outcome.dump()))) == outcome
    text = report.document([outcome])
    assert "| 1.37 | 18 | 16.2.15 | all | 1 | 0 | 1 | 1 |" in text
    assert "## Failed\n\n- Kubernetes 1.37, Ceph 18: `test_it.py::test_that_hangs`" in text
    alone = report.read(
        tmp_path / "report.xml", ["test_it.py::test_that_hangs"], kubernetes="1.37", ceph="18", client="16.2.15"
    )
    assert "| 1.37 | 18 | 16.2.15 | all | 1 | 1 | 0 | 1 |" in (text := report.document([alone]))
    assert "passed alone\n\n- Kubernetes 1.37, Ceph 18: `test_it.py::test_that_hangs`" in text


@pytest.mark.parametrize(
    ("first", "second", "status", "said"),
    [
        ([], [], 0, ""),
        (["a", "b"], [], 0, "passed when they ran alone:\n  a\n  b\n"),
        (["a", "b"], ["b"], 1, "passed when they ran alone:\n  a\n"),
        (["a", "b", "c", "d"], [], 1, "more than 3"),
        (["a", "b", "c", "d"], ["a", "b", "c", "d"], 1, ""),
    ],
)
def test_few_may_pass_alone_and_none_may_fail_alone(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: list[str],
    second: list[str],
    status: int,
    said: str,
) -> None:
    left = iter([first, second])
    failed: list[str] = []

    def ran(_: runs.Ground, __: object) -> int:
        failed[:] = next(left)
        return int(bool(failed))

    monkeypatch.setattr(runs.Ground, "built", lambda _: None)
    monkeypatch.setattr(runs.Ground, "pytest", ran)
    monkeypatch.setattr(runs.Ground, "failed", lambda _: set(failed))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "/given")
    assert runs.test([], again=True) == status
    out = capsys.readouterr().out
    assert said in out
    assert ("passed when they ran alone" in out) is bool(said)


def test_oldest_releases_run_beside_the_others_and_print_in_one_piece(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each of the two ends only when both have begun."""
    script = """
import pathlib, sys, time
here, oldest = pathlib.Path(sys.argv[1]), "--numprocesses=1" in sys.argv
(here / str(oldest)).touch()
while len(list(here.iterdir())) < 2:
    time.sleep(0.01)
print("oldest" if oldest else "default")
sys.exit(4 if oldest else 0)
"""
    met = tmp_path / "met"
    met.mkdir()

    def ran(ground: runs.Ground, arguments: list[str], output: TextIO | None = None) -> int:
        command = [sys.executable, "-c", script, str(met), *arguments]
        assert (output is None) is (ground.kubernetes != packages.OLDEST)
        return subprocess.run(command, stdout=output, timeout=60, check=False).returncode

    monkeypatch.setattr(runs, "STATE", tmp_path / "runs")
    monkeypatch.setattr(runs.Ground, "built", lambda _: None)
    monkeypatch.setattr(runs.Ground, "pytest", ran)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    for name in ("KUBERNETES", "CEPH"):
        monkeypatch.delenv(name, raising=False)
    assert runs.test(["-q"], again=False) == 4
    assert sorted(capfd.readouterr().out.split()) == ["default", "oldest"]
