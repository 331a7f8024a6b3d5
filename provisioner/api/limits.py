"""Limits of the REST API: sizes, waits and how much is kept. What an operator may set is in settings.py."""

LARGEST_BODY_BYTES = 64 * 1024
DEFAULT_WAIT_SECONDS = 2.0
"""How long a request waits for its operation to end, unless it has `Prefer: wait`."""
LONGEST_WAIT_SECONDS = 20.0
"""The most that `Prefer: wait` can request."""
LOCK_SECONDS = 5.0
"""How long a change waits for another change of the same image."""
KEPT_OPERATIONS = 1000
KEPT_OPERATION_SECONDS = 3600.0
"""How long, and of how many of the latest, a client can read the result of an operation that has ended."""
