"""Runs a process: the event loop, signals, the exit status, and tasks that must not end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

import uvloop

from sutler import log
from sutler.errors import SutlerError
from sutler.settings import ProcessSettings

_log = log.get(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TaskEnded(SutlerError):  # noqa: N818 - named after what happened
    """A task that must not end has ended or failed. The process exits, and Kubernetes starts a new one."""


def run(main: Callable[[], Awaitable[None]], *, settings: ProcessSettings) -> int:
    """Run `main` until it is done, or SIGTERM or SIGINT cancels it. Returns the exit status of the process.

    It is 0 after a clean stop, 1 after an error: an expected one is logged in one line, others with their traceback.
    """
    log.setup(settings.log_level, settings.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(main))
    except SutlerError as error:
        _log.error("stopped", error=str(error))
        return 1
    except Exception:  # noqa: BLE001 - the last place that can log it
        _log.exception("stopped by an unhandled error")
        return 1
    return 0


async def guard(*tasks: tuple[str, Coroutine[Any, Any, Any]]) -> NoReturn:
    """Run tasks that must not end, each under its name, until the first one ends, which is an error.

    Raises:
        TaskEnded: naming the task, `from` its error if that is a SutlerError.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for name, coroutine in tasks:
                group.create_task(_run_for_ever(name, coroutine), name=name)
    except BaseExceptionGroup as errors:
        # The first one ended all the others.
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    raise TaskEnded("there was no task to run")


async def _run_for_ever(name: str, coroutine: Coroutine[Any, Any, Any]) -> NoReturn:
    try:
        await coroutine
    except TaskEnded:
        raise
    except SutlerError as error:
        raise TaskEnded(f"{name}: {error}") from error
    except Exception as defect:
        defect.add_note(f"in task {name}")
        raise
    raise TaskEnded(f"{name} ended unexpectedly")


async def _until_stopped(main: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main())
    stopped: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        stopped.append(number)
        task.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        _log.info("stopped", signal=stopped[0].name)
