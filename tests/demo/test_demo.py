"""`make demo`, `make up` and `make down`, as they are run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.demo", *words]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False)


def test_story_is_played_to_its_end_and_leaves_nothing_running() -> None:
    played = demo("play")
    assert played.returncode == 0, played.stdout[-3000:] + played.stderr
    assert "✓ Every result is as expected, and nothing is left running." in played.stdout
    assert "✗" not in played.stdout
    assert "✓ the container reads a file of the private image" in played.stdout or "Skipped: " in played.stdout


def test_lines_that_up_prints_serve_every_tool(tmp_path: Path) -> None:
    state = tmp_path / "state"
    try:
        started = demo("up", "--state", str(state))
        assert started.returncode == 0, started.stdout[-3000:] + started.stderr
        lines = [line for line in started.stdout.splitlines() if line.startswith("export ")]
        tools = """
            kubectl get namespace sutler-system --output name
            rbd ls rbd1
            sutler pools list
            kubectl sutler images list rbd1
            curl --silent --cacert $SUTLER_API_CA $SUTLER_API_URL/health
        """
        script = "\n".join(["set -e", *lines, *tools.splitlines()])
        ran = subprocess.run(["bash"], input=script, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        for expected in ("namespace/sutler-system", "rbd1 ", '{"status": "ok"}'):
            assert expected in ran.stdout
        without_pods = "Sutler cannot run as Pods here: " in started.stdout
        assert without_pods or "deployment.apps/sutler-webhook condition met" in started.stdout
        assert (state / "api-token").stat().st_mode & 0o777 == 0o600
        assert (state / "api-token").read_text() not in started.stdout, "terminals are recorded"
    finally:
        stopped = demo("down", "--state", str(state))
    assert "Everything is stopped." in stopped.stdout
    assert not state.exists()
