"""The audit log: one line for each change, with the user, the change and its result, at every log level.

The lines have the JSON format of the log, but are written directly: a change takes a millisecond, and the logging
library would add a quarter of one. On a terminal they go through the log, which formats them.
"""

import sys
from datetime import UTC, datetime

import msgspec

from sutler import log
from sutler.log import Format

NAME = "sutler.audit"
_log = log.get(NAME)


class _AuditFormat:
    """The output of the audit log; set once at the start."""

    console = False


def configure(log_format: Format) -> None:
    _AuditFormat.console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())


def record(event: str, **fields: object) -> None:
    if _AuditFormat.console:
        _log.warning(event, **fields)
        return
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    entry = {**fields, "event": event, "logger": NAME, "level": "info", "timestamp": stamp}
    sys.stderr.write(msgspec.json.encode(entry).decode() + "\n")
