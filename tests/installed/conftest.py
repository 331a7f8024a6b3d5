"""Sutler, installed in a cluster of its own, with every process at debug."""

from collections.abc import Iterator

import pytest

from tests.cluster import Ceph, ControlPlane, Place
from tests.cluster.installation import NAMESPACE, Installation
from tests.installed.life import Life

# All that Sutler's accounts ask for, reads included.
AUDIT_POLICY = f"""\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:{NAMESPACE}"]
- level: None
"""


@pytest.fixture(scope="module")
def control_plane(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    started = ControlPlane(tmp_path_factory.mktemp("kubernetes"), place, AUDIT_POLICY)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def life(
    control_plane: ControlPlane, ceph: Ceph, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Life]:
    installation = Installation(control_plane, ceph, place, tmp_path_factory.mktemp("sutler"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUTLER_LOG_LEVEL", "debug")
        patch.setenv("SUTLER_RECONCILE_INTERVAL", "5")
        patch.setenv("SUTLER_CAPACITY_INTERVAL", "1")
        installation.start()
    lived = Life(control_plane, ceph, installation)
    try:
        lived.play()
        yield lived
    finally:
        installation.stop()
