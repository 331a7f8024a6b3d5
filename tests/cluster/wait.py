"""The one way in which tests and commands wait: for a condition, named, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.3


def wait_for(condition: Callable[[], T | None], what: str, timeout: float = 30.0) -> T:
    """Ask `condition` until it gives something true, and return that.

    Raises:
        TimeoutError: after `timeout` seconds, naming `what` and the last answer.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(_too_late(what, timeout, answer))
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return answer


async def wait_for_async(condition: Callable[[], Awaitable[T | None]], what: str, timeout: float = 30.0) -> T:  # noqa: ASYNC109 - the same words as wait_for; a cancelled condition would hide its last answer
    """`wait_for` for tests that have an event loop to keep going."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while not (answer := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(_too_late(what, timeout, answer))
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return answer


def _too_late(what: str, timeout: float, answer: object) -> str:
    return f"waited {timeout:g} s in vain for {what} (last answer: {answer!r})"
