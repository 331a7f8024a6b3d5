"""One token for one identity and source, however many RegistryTokens ask: the same bytes, with the same end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from provisioner.tokens import metrics
from provisioner.tokens.planning.credential import FetchedCredential
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.schedule import refresh_delay
from provisioner.tokens.planning.sources import PROVIDERS, TokenSource
from sutler.kube.lease import clock

Fetch = Callable[[TokenSource], Awaitable[FetchedCredential]]


@dataclass(frozen=True)
class CachedCredential:
    """Times are of `clock`."""

    credential: FetchedCredential
    fetched_at: float
    due_at: float
    ends_at: float


class CredentialCache:
    """Holds tokens in memory, and never longer than until they are due."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._found: dict[TokenSource, CachedCredential] = {}
        self._locks: dict[TokenSource, asyncio.Lock] = {}

    async def get(self, source: TokenSource, *, newer_than: float = 0.0) -> CachedCredential:
        """A token that is not due yet and was fetched after `newer_than`. Raises TokenError."""
        async with self._locks.setdefault(source, asyncio.Lock()):
            found = self._found.get(source)
            if found is None or clock() >= found.due_at or found.fetched_at <= newer_than:
                found = await self._fetch_new(source)
                self._found[source] = found
            return found

    def keep_only(self, sources: set[TokenSource]) -> None:
        """Forget the tokens of objects that are gone."""
        for source in self._found.keys() - sources:
            del self._found[source]

    async def _fetch_new(self, source: TokenSource) -> CachedCredential:
        provider, result = PROVIDERS[type(source)], "success"
        began = time.perf_counter()
        # Counted from before the request: a slow answer's life has begun meanwhile.
        asked_at = clock()
        try:
            credential = await self._fetch(source)
        except TokenError as error:
            result = error.reason
            raise
        except Exception as defect:
            result = Reason.INTERNAL_ERROR
            raise TokenError(
                Reason.INTERNAL_ERROR, f"this is a defect in Sutler ({type(defect).__name__}); its log has more"
            ) from defect
        finally:
            metrics.REFRESHES.labels(provider, result).inc()
        metrics.REFRESH_SECONDS.labels(provider).observe(time.perf_counter() - began)
        delay = refresh_delay(credential.seconds_left, random.uniform)
        return CachedCredential(credential, clock(), asked_at + delay, asked_at + credential.seconds_left)
