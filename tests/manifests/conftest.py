"""The base on the cluster that a worker's tests share."""

from collections.abc import Iterator

import pytest

from tests.cluster import ControlPlane
from tests.manifests.rendered import BASE


@pytest.fixture(scope="module")
def applied(control_plane: ControlPlane, crds: None) -> Iterator[ControlPlane]:  # noqa: ARG001 - the CRDs come first
    """With the base applied; what would be in the way of others goes again: a registration and Pods without a node."""
    control_plane.kubectl("apply", "-k", str(BASE))
    yield control_plane
    found = ("-n", "sutler-system", "-l", "app.kubernetes.io/part-of=sutler")
    control_plane.kubectl("delete", "mutatingwebhookconfigurations,deployments", *found)
