"""The interface of a server's certificate: context, run and ready."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import NoReturn

from certs.tls_context import ReloadableContext
from sutler import log

RETRY_INTERVAL = 2.0
"""Seconds until the next refresh after a problem."""

_log = log.get(__name__)


class CertificateSource(ABC):
    """Give `context` to the server, run `run()` beside it, and use `ready()` as a readiness check.

    A subclass implements `refresh`, after which the newest usable pair is served.
    """

    def __init__(self, poll_interval: float) -> None:
        self._live = ReloadableContext()
        self._poll_interval = poll_interval
        self._problem: str | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return self._live.context

    def ready(self) -> str | None:
        """Why clients could not connect; None if they can."""
        problem = self._live.problem()
        return problem + self._because() if problem else None

    async def run(self) -> NoReturn:
        while True:
            await self.check()
            await asyncio.sleep(min(self._poll_interval, RETRY_INTERVAL) if self._problem else self._poll_interval)

    async def check(self) -> None:
        """Refresh once, and log a new problem."""
        problem = await self.refresh()
        if problem and problem != self._problem:
            _log.warning("could not refresh the certificate; retrying", reason=problem)
        self._problem = problem

    @abstractmethod
    async def refresh(self) -> str | None:
        """Load the newest pair. Returns the problem, if there is one; then the previous pair stays in use."""

    def _because(self) -> str:
        return f" ({self._problem})" if self._problem else ""
