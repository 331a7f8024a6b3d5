"""An OSD restarts during calls whose time-out is shorter than Ceph's own retries."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from provisioner.ceph.errors import CephError
from tests.ceph.test_images import SPEC, create
from tests.cluster import Ceph, Place, wait_for_async


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Ceph]:
    """A Ceph whose OSD has its data again after a restart."""
    with Place.host() as place:
        ceph = Ceph(tmp_path, place, store="bluestore")
        ceph.start()
        yield ceph
        ceph.stop()


@pytest.mark.long
async def test_restarted_osd_is_found_with_any_time_out(lasting: Ceph) -> None:
    cluster = CephCluster(ClusterSettings(conf=str(lasting.conf), timeout=3, connect_timeout=3))
    images = cluster.pool(lasting.pool("lasting"))
    try:
        for name in ("one", "two", "three"):
            await create(images, replace(SPEC, name=f"{name}-before"))
            lasting.osd.restart()

            async def again(name: str = name) -> bool:
                try:
                    await create(images, replace(SPEC, name=f"{name}-after"))
                except CephError:
                    return False
                return True

            await wait_for_async(again, "the OSD to be found", 120)
        assert len(await images.list_images()) == 6
    finally:
        await cluster.close()
