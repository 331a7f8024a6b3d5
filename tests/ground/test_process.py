"""A process never outlives its owner, and its owner can always end it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cluster import ClusterError, Place, Process, steps, wait_for
from tests.ground import processes

REPOSITORY = Path(__file__).parents[2]
# For so many seconds nothing else on this machine sleeps, another run of these tests neither.
CHILD, ORPHAN, WORKER = (f"{seconds}.{os.getpid()}" for seconds in (611, 622, 633))

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)
FAMILY = "import subprocess, sys; print('born', flush=True); subprocess.run(['sleep', sys.argv[1]])"


def test_stop_ends_one_that_ignores_term(tmp_path: Path) -> None:
    process = _python(STUBBORN, tmp_path)
    process.until(lambda: "deaf" in process.log_text(), "its first words")
    assert process.stop(grace=0.2) == -signal.SIGKILL
    assert not process.alive


def test_stop_ends_one_that_is_frozen(tmp_path: Path) -> None:
    process = _python("import time; time.sleep(600)", tmp_path)
    process.freeze()
    assert process.stop() == -signal.SIGTERM


def test_stop_ends_the_children_too(tmp_path: Path) -> None:
    process = _python(FAMILY, tmp_path, CHILD)
    process.until(lambda: processes.naming(f"sleep {CHILD}"), "its child")
    process.stop()
    wait_for(lambda: not processes.naming(f"sleep {CHILD}"), "the child to be gone")


def test_stop_twice_gives_the_same_status(tmp_path: Path) -> None:
    process = _python("raise SystemExit(7)", tmp_path)
    wait_for(lambda: not process.alive, "its end")
    assert process.stop() == process.stop() == 7


def test_early_end_is_reported_with_the_last_output(tmp_path: Path) -> None:
    process = _python("raise SystemExit('no such flag')", tmp_path)
    with pytest.raises(ClusterError, match=r"(?s)ended while waiting for an answer;.*no such flag"):
        process.until(lambda: None, "an answer")
    process.stop()


def test_process_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    made: list[Process] = []
    thread = threading.Thread(target=lambda: made.append(_python("import time; time.sleep(600)", tmp_path)))
    thread.start()
    thread.join()
    # Had the kernel's parent-death signal been tied to that thread, the process were dead by the time sleep is.
    with pytest.raises(TimeoutError):
        wait_for(lambda: not made[0].alive, "its end", timeout=0.3)
    made[0].stop()


def test_process_dies_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    owner_script = (
        "import sys, time; from pathlib import Path; from tests.cluster import Place, Process;"
        f"Process.started(['sleep', {ORPHAN!r}], place=Place.host(), log=Path(sys.argv[1]));"
        "print('started', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", owner_script, str(tmp_path / "log")], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        try:
            wait_for(lambda: processes.naming(f"sleep {ORPHAN}"), "the process to be there")
        finally:
            owner.kill()
    wait_for(lambda: not processes.naming(f"sleep {ORPHAN}"), "the process to die with its owner")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_children_of_a_step_die_with_an_owner_that_is_ended(tmp_path: Path, sent: signal.Signals) -> None:
    owner_script = (
        "import sys; from pathlib import Path; from tests.cluster.steps import Steps;"
        f"Steps(Path(sys.argv[1]) / 'log').run('x', [sys.executable, '-c', {FAMILY!r}, {WORKER!r}], cwd=Path('/'))"
    )
    with subprocess.Popen([sys.executable, "-c", owner_script, str(tmp_path)], cwd=REPOSITORY) as owner:
        try:
            wait_for(lambda: processes.naming(f"sleep {WORKER}"), "the child to be there")
        finally:
            owner.send_signal(sent)
    wait_for(lambda: not processes.naming(f"sleep {WORKER}"), "the child to die with its parent's owner")


def test_step_that_fails_says_its_status_and_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"(?s)^x failed with status 7; .*\nno such flag$"):
        steps.Steps(tmp_path / "log").run("x", ["sh", "-c", "echo no such flag; exit 7"], cwd=tmp_path)


def test_wait_for_names_what_and_the_last_answer() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0.1 s in vain for rain \(last answer: 0\)"):
        wait_for(lambda: 0, "rain", timeout=0.1)


def _python(code: str, folder: Path, *args: str) -> Process:
    return Process.started([sys.executable, "-c", code, *args], place=Place.host(), log=folder / "log")
