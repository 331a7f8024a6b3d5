"""How a process of ours starts, stops and fails: each in a process of its own."""

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sutler.errors import SutlerError
from sutler.runtime import TaskEnded, guard

PROGRAM = """
import asyncio, sys
from sutler import log, runtime
from sutler.errors import SutlerError
from sutler.settings import ProcessSettings

async def main():
{}

settings = ProcessSettings.from_arguments(sys.argv[1:], program="test")
sys.exit(runtime.run(main, settings=settings))
"""


def start(body: str, *arguments: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(textwrap.indent(textwrap.dedent(body), "    "))
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and the log, which is JSON since standard error is no terminal."""
    _, errors = process.communicate(timeout=30)
    return process.returncode, [json.loads(line) for line in errors.splitlines()]


def test_process_that_is_done_ends_with_0() -> None:
    assert ended(start("await asyncio.sleep(0)")) == (0, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_is_a_clean_stop(number: signal.Signals) -> None:
    process = start(
        """
        try:
            print("up", flush=True)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            print("cleaned up", flush=True)
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    assert process.stdout.readline() == "cleaned up\n"
    status, log = ended(process)
    assert status == 0
    assert [(line["event"], line["signal"]) for line in log] == [("stopped", number.name)]


def test_expected_error_is_one_line() -> None:
    status, log = ended(start('raise SutlerError("the thing is not there; make it")'))
    assert status == 1
    assert [(line["event"], line["error"]) for line in log] == [("stopped", "the thing is not there; make it")]


def test_defect_is_in_the_log_with_its_place_and_without_values() -> None:
    status, log = ended(start('int("canary-password")'))
    assert status == 1
    (line,) = log
    assert line["event"] == "stopped by an unhandled error"
    assert "ValueError" in line["exception"]
    assert "canary-password" not in line["exception"].replace('int("canary-password")', "")


def test_eternal_task_that_fails_ends_the_process_by_name() -> None:
    body = """
    async def fails():
        raise SutlerError("no way")
    await runtime.guard(("ever", asyncio.Event().wait()), ("the watcher", fails()))
    """
    status, log = ended(start(body))
    assert (status, log[-1]["error"]) == (1, "the watcher: no way")


async def ends() -> None:
    await asyncio.sleep(0)


async def fails() -> None:
    await asyncio.sleep(0)
    raise SutlerError("no way")


async def breaks() -> None:
    await asyncio.sleep(0)
    raise RuntimeError("of the test's own")


async def fails_inside() -> None:
    await guard(("inner", fails()))


@pytest.mark.parametrize(
    ("task", "error", "text"),
    [
        (ends, TaskEnded, "^the task ended unexpectedly$"),
        (fails, TaskEnded, "^the task: no way$"),
        (fails_inside, TaskEnded, "^inner: no way$"),
        (breaks, RuntimeError, "^of the test's own\nin task the task$"),
    ],
)
async def test_guard_ends_with_its_first_task(
    task: Callable[[], Coroutine[Any, Any, Any]], error: type[Exception], text: str
) -> None:
    cancelled = asyncio.Event()

    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(error, match=text):
        await guard(("other", other()), ("the task", task()))
    assert cancelled.is_set()
