"""The one way in which tests and commands wait: for a condition, named, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds: many times what any of it takes on a machine with nothing else to do."""
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.3
_TRIES = 5


def wait_for(condition: Callable[[], T | None], what: str, timeout: float = PATIENCE) -> T:
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


def quickest(ask: Callable[[], object], within: float, clock: Callable[[], float] = time.monotonic) -> None:
    """Show that `ask` can be done within so many seconds: by its quickest try, since a busy machine delays only some.

    Raises:
        AssertionError: no try was that quick.
    """
    took: list[float] = []
    while len(took) < _TRIES:
        began = clock()
        ask()
        took.append(clock() - began)
        if took[-1] < within:
            return
    raise AssertionError(f"never done within {within:g} s: the tries took {', '.join(f'{one:.2f}' for one in took)} s")


async def wait_for_async(condition: Callable[[], Awaitable[T | None]], what: str, timeout: float = PATIENCE) -> T:  # noqa: ASYNC109 - the same words as wait_for; a cancelled condition would hide its last answer
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
