"""Ask a server that may not be there yet."""

import http.client
import ssl
import urllib.error
import urllib.request
from pathlib import Path


def get(url: str, authority: Path | None = None, timeout: float = 5) -> tuple[int, str]:
    """Status and text of the answer; status 0 when there is none."""
    return call(urllib.request.Request(url), authority, timeout)  # noqa: S310 - our own servers' URLs


def call(request: urllib.request.Request, authority: Path | None, timeout: float) -> tuple[int, str]:
    """Of any method; else as `get`."""
    context = ssl.create_default_context(cafile=str(authority)) if authority else None
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:  # noqa: S310 - the same
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except (OSError, http.client.HTTPException):  # the latter: it has ended in the midst of its answer
        return 0, ""
