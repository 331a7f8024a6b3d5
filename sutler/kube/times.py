"""Times in the API's formats."""

from datetime import UTC, datetime


def now() -> str:
    """The present time as MicroTime: RFC 3339 in UTC with exactly six digits of fractional seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now_in_seconds() -> str:
    """The present time as Time: RFC 3339 in UTC, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
