"""A provider's context on the real HTTP client, with Secrets and ServiceAccounts in memory."""

import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from provisioner.tokens.http_client import HttpClient
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.providers.context import Endpoints, FetchContext
from sutler import log
from tests.tokens.fakes.api_server import OWN, FakeApiServer
from tests.tokens.fakes.aws import FakeAws
from tests.tokens.fakes.jwt import service_account_token
from tests.tokens.scene import Scene

Secrets = dict[str, dict[str, bytes]]
MakeContext = Callable[..., FetchContext]


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient.opened({}) as client:
        yield client


@pytest.fixture
def make_context(http: HttpClient, tmp_path: Path) -> MakeContext:
    """Of a fake's URL for the names of endpoints that it serves."""

    def make(
        endpoints: Mapping[str, str],
        *,
        secrets: Secrets | None = None,
        environment: Mapping[str, str] | None = None,
        accounts: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        **more: Any,
    ) -> FetchContext:
        async def secret(name: str) -> Mapping[str, bytes]:
            if name not in (secrets or {}):
                raise TokenError(Reason.IDENTITY_MISSING, f"Secret {name} is not there")
            return (secrets or {})[name]

        async def account_token(name: str, audience: str) -> str:
            if not accounts:
                raise TokenError(Reason.IDENTITY_MISSING, f"ServiceAccount {name} is not there")
            return service_account_token(audience, name)

        async def run_plugin(name: str, request: bytes) -> bytes:
            raise AssertionError(name, request)

        given = {
            "send": http.send,
            "now": now,
            "secret": secret,
            "account_token": account_token,
            "run_plugin": run_plugin,
            "environment": environment or {},
            "projected_tokens": tmp_path,
            "endpoints": Endpoints(endpoints),
        }
        return FetchContext(**{**given, **more})

    return make


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged at debug, as the process would log it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.setup("debug", "json", stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FakeApiServer() as api, FakeAws() as cloud:
        api.put(f"/api/v1/namespaces/{OWN}/serviceaccounts/puller", {})
        yield Scene(api, cloud)


@pytest.fixture
def free_port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()
