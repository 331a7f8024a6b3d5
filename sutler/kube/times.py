"""The API's MicroTime: RFC 3339 in UTC with exactly six digits of fractional seconds."""

from datetime import UTC, datetime


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
