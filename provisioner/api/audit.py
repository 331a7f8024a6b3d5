"""The audit log: one line for each change, with the user, the change and its result, at every log level.

The lines have the JSON format of the log, but are written directly: a change takes a millisecond, and the logging
library would add a quarter of one. On a terminal they go through the log, which formats them.
"""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from sutler import log
from sutler.log import Format

if TYPE_CHECKING:
    from aiohttp import web

    from provisioner.api.authorization import User
    from provisioner.api.endpoint import Endpoint
    from provisioner.api.operations import Operation

NAME = "sutler.audit"
_log = log.get(NAME)


class _AuditFormat:
    """The output of the audit log; set once at the start."""

    console = False


def configure(log_format: Format) -> None:
    _AuditFormat.console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())


def record_change(request: "web.Request", status: int | None, result: str, detail: str | None, seconds: float) -> None:
    """Record a request that changes something. `status` is None if it was interrupted."""
    found: Endpoint | None = request.get("endpoint")
    if found is None or not found.changes:
        return
    user: User | None = request.get("user")
    _record(
        "change", request=request["id"], who=user.name if user else None, what=found.operation,
        **{f"on_{name}": value for name, value in request.match_info.items()},
        named=request.get("named"), query=request.query_string[:200] or None, status=status,
        result=result, detail=detail[:300] if detail else None,
        remote=request.remote, seconds=round(seconds, 3),
    )  # fmt: skip


def record_operation(operation: "Operation") -> None:
    _record(
        "operation", operation=operation.id, kind=operation.target.kind, pool=operation.target.pool,
        namespace=operation.target.namespace, image=operation.target.image, who=operation.by,
        result=operation.state.value, detail=str(operation.error) if operation.error else None,
    )  # fmt: skip


def _record(event: str, **fields: object) -> None:
    if _AuditFormat.console:
        _log.warning(event, **fields)
        return
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    entry = {**fields, "event": event, "logger": NAME, "level": "info", "timestamp": stamp}
    sys.stderr.write(msgspec.json.encode(entry).decode() + "\n")
