import logging
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from sutler.kube.client import Client, connect
from tests.cluster import ControlPlane
from tests.kube.proxy import FaultyProxy


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with connect(str(control_plane.kubeconfig), component="test") as client:
        yield client


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """It stays as it is: none of Sutler's controllers runs."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.create_namespace(name)
    return name


@pytest.fixture
def proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[FaultyProxy]:
    with FaultyProxy(control_plane.kubeconfig, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def proxied(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A client whose every request goes through `proxy`."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)  # which takes 40 ms to read, and the proxy has no TLS
    async with connect(str(proxy.kubeconfig), component="test") as client:
        yield client


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """For tests that set up logging as a process does."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()
