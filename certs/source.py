"""Where a server's certificate comes from. Three methods are all that a server knows of it."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import NoReturn

from certs.tls_context import ReloadableContext
from sutler import log

RETRY_INTERVAL = 2.0
"""Seconds until the next look while something is wrong."""

_log = log.get(__name__)


class CertificateSource(ABC):
    """Give `context` to the server, keep `run()` running beside it, show `ready()` to whoever asks.

    What a kind of source adds is `refresh`: one look, after which the newest usable pair is served.
    """

    def __init__(self, poll_interval: float) -> None:
        self._live = ReloadableContext()
        self._poll_interval = poll_interval
        self._problem: str | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return self._live.context

    def ready(self) -> str | None:
        """Why no client could connect; None if it can."""
        problem = self._live.problem()
        return problem + self._because() if problem else None

    async def run(self) -> NoReturn:
        while True:
            await self.check()
            await asyncio.sleep(min(self._poll_interval, RETRY_INTERVAL) if self._problem else self._poll_interval)

    async def check(self) -> None:
        problem = await self.refresh()
        if problem and problem != self._problem:
            _log.warning("certificate not up to date, will go on trying", reason=problem)
        self._problem = problem

    @abstractmethod
    async def refresh(self) -> str | None:
        """One look. Returns what went wrong; the pair before goes on being served then."""

    def _because(self) -> str:
        return f" ({self._problem})" if self._problem else ""
