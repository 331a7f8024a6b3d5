"""What the tests at a real API server share."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sutler.kube.client import Client, connect
from tests.certs.cluster_objects import SECRET, Stored, configuration
from tests.cluster import ControlPlane
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def account(control_plane: ControlPlane) -> Path:
    """A kubeconfig with the webhook's rights and no others."""
    base = REPOSITORY / "manifests" / "base"
    for file in ("namespace.yaml", "webhook-rbac.yaml"):
        control_plane.kubectl("apply", "-f", str(base / file))
    return control_plane.kubeconfig_for("sutler-system", "sutler-webhook")


@pytest.fixture
def stored(control_plane: ControlPlane, account: Path) -> Iterator[Stored]:  # noqa: ARG001 - its namespace
    """As the manifests leave it: an empty Secret, a configuration without a CA."""
    control_plane.kubectl("apply", "-f", str(REPOSITORY / "manifests" / "base" / "certificate.yaml"))
    control_plane.kubectl("create", "-f", "-", input=json.dumps(configuration()))
    yield Stored(control_plane)
    control_plane.kubectl("delete", "mutatingwebhookconfiguration", "sutler-webhook", "--ignore-not-found")
    control_plane.kubectl("delete", "secret", SECRET, "-n", "sutler-system", "--ignore-not-found")


@pytest.fixture
async def client(account: Path) -> AsyncIterator[Client]:
    async with connect(str(account), component="test") as connected:
        yield connected
