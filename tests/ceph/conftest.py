from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from provisioner.ceph.pool import RbdPool
from tests.cluster import Ceph


@pytest.fixture
def settings(ceph: Ceph) -> ClusterSettings:
    return ClusterSettings(conf=str(ceph.conf), timeout=3, connect_timeout=3)


@pytest.fixture
async def cluster(settings: ClusterSettings) -> AsyncIterator[CephCluster]:
    made = CephCluster(settings)
    yield made
    await made.close()


@pytest.fixture
def images(cluster: CephCluster, pool: str) -> RbdPool:
    return cluster.pool(pool)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a connection has read of a pool is taken for true as long as the test takes, on however busy a machine."""
    monkeypatch.setattr("provisioner.ceph.connection.CACHE_SECONDS", 3600.0)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A configuration that points to a monitor that is not there."""
    conf = tmp_path / "ceph.conf"
    conf.write_text("[global]\nmon host = v1:127.0.0.1:1\nkey = AQBKcgtlAAAAABAAl8wNhWtUeKbLHG1v0Hqs0w==\n")
    return conf
