"""What every process of ours has in common: its event loop, its end, its exit status, its eternal tasks."""

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
    """An eternal task has ended or failed; the process ends with it and the platform starts a new one."""


def run(main: Callable[[], Awaitable[None]], *, settings: ProcessSettings) -> int:
    """Run `main` until it is done or SIGTERM or SIGINT cancels it; the process's exit status comes back.

    0 after a clean stop, 1 when something expected went wrong (told in one line) or something unexpected (told with
    its traceback, in the log only).
    """
    log.setup(settings.log_level, settings.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(main))
    except SutlerError as error:
        _log.error("stopped", error=str(error))
        return 1
    except Exception:  # noqa: BLE001 - the last one who can tell
        _log.exception("stopped by a defect")
        return 1
    return 0


async def guard(*tasks: tuple[str, Coroutine[Any, Any, Any]]) -> NoReturn:
    """Run eternal tasks, each under its name, until the first one ends: that is an error, whatever it returned.

    Raises:
        TaskEnded: naming the task, `from` its error when it failed with an expected one.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for name, coroutine in tasks:
                group.create_task(_eternal(name, coroutine), name=name)
    except BaseExceptionGroup as errors:
        # The first one ended all the others.
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    raise TaskEnded("there was no task to run")


async def _eternal(name: str, coroutine: Coroutine[Any, Any, Any]) -> NoReturn:
    try:
        await coroutine
    except TaskEnded:
        raise
    except SutlerError as error:
        raise TaskEnded(f"{name}: {error}") from error
    except Exception as defect:
        defect.add_note(f"in task {name}")
        raise
    raise TaskEnded(f"{name} has ended by itself")


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
