"""Watches RegistryTokens, and has each token refreshed when it is due, its Secret checked, its status written."""

import asyncio
from datetime import UTC, datetime
from typing import Any, NoReturn

from provisioner.tokens import metrics
from provisioner.tokens.credential_cache import CachedCredential, CredentialCache
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.refresh_state import DeclaredToken, RefreshState, restored, shown
from provisioner.tokens.planning.registry_token import Policy, RegistryToken, RegistryTokenError, parse_registry_token
from provisioner.tokens.planning.source_secret import SourceSecret, fingerprint, render_content
from provisioner.tokens.planning.token_status import ready_condition, refreshing_condition
from provisioner.tokens.secret_writer import SecretWriter
from provisioner.tokens.status_reporter import TokenStatusReporter
from sutler import log, well_known
from sutler.kube.client import Client
from sutler.kube.lease import clock
from sutler.kube.reflector import SILENCE, ObjectChange, Reflector, unready
from sutler.kube.resources import REGISTRY_TOKENS
from sutler.kube.workqueue import WorkQueue
from sutler.typedefs import Json

CHECK_SECONDS = 30.0
"""Seconds between two reads of a Secret, which may have been emptied: the account may not watch Secrets."""

RESYNC_SECONDS = 600.0

_log = log.get(__name__)


class TokensController:
    """`reflectors` run always; `lead` while this process holds the lease.

    Args:
        client: For reading.
        cache: Gets tokens.
        writer: Writes Secrets, behind the lease.
        reporter: Writes statuses, behind the lease.
        policy: The limits for RegistryTokens.
        workers: Tokens that are worked on at a time.
        silence: As the reflectors'.
    """

    def __init__(
        self,
        client: Client,
        cache: CredentialCache,
        writer: SecretWriter,
        reporter: TokenStatusReporter,
        *,
        policy: Policy,
        workers: int,
        silence: float = SILENCE,
    ) -> None:
        self._policy = policy
        self._tokens = Reflector[DeclaredToken](client, REGISTRY_TOKENS, transform=self._declared, silence=silence)
        self.reflectors: dict[str, Reflector[Any]] = {"tokens": self._tokens}
        self._cache = cache
        self._writer = writer
        self._reporter = reporter
        self._workers = workers
        self._states: dict[str, RefreshState] = {}
        self._queue: WorkQueue | None = None
        self._tokens.subscribe(self._changed)

    def ready(self) -> str | None:
        return unready(self.reflectors)

    async def lead(self) -> None:
        await self._tokens.wait_synced()
        # Another process may have led meanwhile: the objects are newer than this process's memory.
        self._states.clear()
        queue = self._queue = WorkQueue("registry-tokens", workers=self._workers)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(queue.run(self._handle))
                tasks.create_task(self._resync(queue))
        finally:
            self._queue = None
            metrics.remove_all_series()

    async def _resync(self, queue: WorkQueue) -> NoReturn:
        while True:
            for name in self._tokens.store:
                queue.add(name)
            self._cache.keep_only({each.token.source for each in self._tokens.store.values() if each.token})
            await asyncio.sleep(RESYNC_SECONDS)

    async def _handle(self, name: str) -> float | None:
        """Brings one token up to date. Returns the seconds until the next check."""
        declared = self._tokens.store.get(name)
        if declared is None:
            self._states.pop(name, None)
            metrics.remove_series(name)
            return None
        state = self._states.get(name)
        if state is None or state.uid != declared.uid:
            state = self._states[name] = restored(declared, now=clock(), wall=_wall())
        if declared.token is not None:
            try:
                await self._refresh(declared, declared.token, state)
            except TokenError as error:
                delay = state.record_failure(declared, error, now=clock(), wall=_wall())
                _log.warning(
                    "token not refreshed",
                    token=name,
                    reason=error.reason,
                    error=error.message,
                    failures=state.failures,
                    again_in=round(delay, 1),
                    exc_info=error if error.reason is Reason.INTERNAL_ERROR else None,
                )
        self._count(declared, state)
        await self._reporter.report(declared, state, now=clock(), at=shown(_wall()))
        if declared.token is None:
            return None
        return self._next_check(state)

    async def _refresh(self, declared: DeclaredToken, token: RegistryToken, state: RefreshState) -> None:
        """Fetches where that is due, and writes where the Secret holds something else."""
        now = clock()
        due = state.is_due(declared, now)
        if state.failures and not due:
            return
        secret = await self._writer.read(token)
        if not due and _is_right(secret, state):
            return
        if declared.request != state.request and state.generation:
            state.newer_than = now
        found = await self._cache.get(token.source, newer_than=state.newer_than)
        await self._put(declared, token, state, secret, found)

    async def _put(
        self,
        declared: DeclaredToken,
        token: RegistryToken,
        state: RefreshState,
        secret: SourceSecret,
        found: CachedCredential,
    ) -> None:
        content = render_content(token, found.credential)
        now, wall = clock(), _wall()
        ends_at = datetime.fromtimestamp(wall.timestamp() + found.ends_at - now, UTC)
        await self._writer.write(token, secret, content, shown(ends_at))
        state.record_success(
            declared,
            fingerprint=fingerprint(content),
            due_in=found.due_at - now,
            ends_in=found.ends_at - now,
            now=now,
            wall=wall,
        )

    def _next_check(self, state: RefreshState) -> float:
        now = clock()
        moments = [state.due_at]
        if state.ends_at is not None and state.ends_at > now:
            moments.append(state.ends_at)
        return max(0.1, min(CHECK_SECONDS, min(moments) - now))

    def _count(self, declared: DeclaredToken, state: RefreshState) -> None:
        metrics.READY.labels(declared.name).set(ready_condition(declared, state, clock()).holds)
        metrics.REFRESHING.labels(declared.name).set(refreshing_condition(declared, state).holds)
        if state.ends_at is not None:
            metrics.EXPIRY.labels(declared.name).set(_wall().timestamp() + state.ends_at - clock())

    def _declared(self, found: Json) -> DeclaredToken:
        metadata = found["metadata"]
        token, problem = None, ""
        try:
            token = parse_registry_token(found, self._policy)
        except RegistryTokenError as error:
            problem = "; ".join(error.problems)
        except Exception as error:  # noqa: BLE001 - one odd object must not hide that it is there
            problem = f"it cannot be read ({type(error).__name__})"
        request = (metadata.get("annotations") or {}).get(well_known.REFRESH_REQUESTED_AT, "")
        return DeclaredToken(
            metadata["name"],
            metadata["uid"],
            metadata.get("generation", 0),
            token,
            problem,
            request,
            found.get("status") or {},
        )

    def _changed(self, change: ObjectChange[DeclaredToken]) -> None:
        self._reporter.shown(change.key)
        if self._queue is not None and not (change.new and change.new.same_wish(change.old)):
            self._queue.add(change.key)


def _is_right(secret: SourceSecret, state: RefreshState) -> bool:
    """Whether the Secret holds what was written; after a start, whether its end is that of the status."""
    if state.fingerprint:
        return secret.fingerprint == state.fingerprint
    return not secret.is_empty and secret.expires_at == state.expires_at


def _wall() -> datetime:
    return datetime.now(UTC)
