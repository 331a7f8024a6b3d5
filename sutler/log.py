"""Logging: JSON lines for machines, aligned text for terminals. Records of libraries have the same form."""

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from sutler.errors import SutlerError

Format = Literal["auto", "json", "console"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
_Event = MutableMapping[str, Any]

# At DEBUG these print bodies of requests and responses, or every step of the event loop.
_NEVER_BELOW_INFO = ("kubernetes_asyncio", "kubernetes_asyncio.client.rest", "asyncio", "aiohttp")

# Texts of these errors name types, keys and files. Others, above all ValueError, may quote values.
_QUOTES_NO_VALUE = (SutlerError, TypeError, AttributeError, NameError, LookupError, AssertionError, OSError)


def setup(level: str = "info", format: Format = "auto", stream: TextIO | None = None) -> None:  # noqa: A002 - as the setting
    """Send records of `level` and above to `stream` (standard error); "auto" is "console" if that is a terminal."""
    stream = stream or sys.stderr
    console = format == "console" or (format == "auto" and stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(shared, console=console, colors=console and stream.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _NEVER_BELOW_INFO:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: log.get(__name__)."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _formatter(shared: list[structlog.typing.Processor], *, console: bool, colors: bool) -> logging.Formatter:
    last: list[structlog.typing.Processor]
    if console:
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)]
    else:
        last = [structlog.processors.ExceptionRenderer(_traceback_of), structlog.processors.JSONRenderer()]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[_without_record, *last],
    )


def _write_traceback(stream: TextIO, exc_info: _ExcInfo) -> None:
    stream.write("\n" + _traceback_of(exc_info))


def _traceback_of(exc_info: _ExcInfo) -> str:
    return "\n\ncaused by:\n\n".join(map(_one_traceback, _causes(exc_info[1])))


def _one_traceback(error: BaseException) -> str:
    """The place of a defect, with the error's text only if that can't quote a value: int("hunter2") quotes it."""
    text = f": {error}" if isinstance(error, _QUOTES_NO_VALUE) else ""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + text + notes


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its causes, and the errors of a group."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _without_record(logger: Any, method: str, event: _Event) -> _Event:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, event)
