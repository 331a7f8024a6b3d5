"""Images that are mirrored, in one Ceph cluster without rbd-mirror: what deletes, resizes and snapshots them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rbd

from provisioner.ceph import dependents, directory, images, mirroring, parking, removal, volume_snapshots
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import InUse
from provisioner.ceph.mirroring import ImageMirroring
from provisioner.ceph.model import ImageQuery
from tests.ceph.test_clones import KUBERNETES, MIB, OWNER, fence, owned
from tests.cluster import Ceph


@pytest.fixture
def connection(settings: ClusterSettings) -> Iterator[Connection]:
    made = Connection(settings)
    yield made
    made.close()


@pytest.fixture
def ioctx(connection: Connection, pool: str) -> Any:
    return connection.ioctx(pool)


def mirrored(ceph: Ceph, ioctx: Any, mode: str = "snapshot") -> ImageQuery:
    identifier, pool = owned(ioctx, "data", OWNER), ioctx.get_pool_name()
    if mode == "journal":
        ceph.rbd("feature", "enable", f"{pool}/data", "exclusive-lock")
    ceph.rbd("mirror", "pool", "enable", pool, "image")
    # Nothing answers there: mirroring creates further snapshots only for a peer.
    ceph.rbd("mirror", "pool", "peer", "add", pool, "client.mirror@elsewhere")
    ceph.rbd("mirror", "image", "enable", f"{pool}/data", mode)
    return ImageQuery("data", OWNER, KUBERNETES, identifier)


def state(ioctx: Any) -> ImageMirroring | None:
    with rbd.Image(ioctx, "data", read_only=True) as image:
        return mirroring.read(ioctx, image, image.id())


@pytest.mark.parametrize("mode", ["snapshot", "journal"])
@pytest.mark.parametrize("way", ["removed", "moved to the trash"])
def test_primary_image_is_deleted_in_spite_of_the_snapshots_of_mirroring(
    mode: str, way: str, connection: Connection, ioctx: Any, ceph: Ceph
) -> None:
    query = mirrored(ceph, ioctx, mode)
    assert state(ioctx) == ImageMirroring(mode, "enabled", primary=True)
    if mode == "snapshot":
        ceph.rbd("mirror", "image", "snapshot", f"{ioctx.get_pool_name()}/data")
        assert directory.get_header(ioctx, "data").snapshots >= 2
    assert parking.park(ioctx, query, None, fence) is False
    if way == "removed":
        assert removal.remove(connection, ioctx, query, fence) is None
    else:
        removal.move_to_trash(ioctx, query, fence, delay=1)
        removal.purge(connection, ioctx, query.id, fence, lambda _: None)
    assert directory.has_header(ioctx, query.id) is False
    assert directory.read_omap(ioctx, "rbd_mirroring", "", "image_", 10) == []


def test_parked_image_goes_although_mirroring_has_snapshots_of_it(
    connection: Connection, ioctx: Any, ceph: Ceph
) -> None:
    query = mirrored(ceph, ioctx)
    made = volume_snapshots.create(ioctx, query.id, "sutler-1", fence)
    assert parking.park(ioctx, query, None, fence) is True
    volume_snapshots.delete(ioctx, query.id, made.id, fence)
    found = parking.find_parked(ioctx, query.id)
    assert found is not None
    assert found.is_free
    parking.remove_parked(connection, ioctx, query.id, KUBERNETES, fence)
    assert directory.has_header(ioctx, query.id) is False


CHANGES: dict[str, Callable[[Connection, Any, ImageQuery], object]] = {
    "removal": lambda connection, ioctx, query: removal.remove(connection, ioctx, query, fence),
    "trash": lambda _, ioctx, query: removal.move_to_trash(ioctx, query, fence, delay=60),
    "parking": lambda _, ioctx, query: parking.park(ioctx, query, None, fence),
    "resizing": lambda _, ioctx, query: images.resize(ioctx, query.name, 16 * MIB, fence),
    "snapshot": lambda _, ioctx, query: volume_snapshots.create(ioctx, query.id, "sutler-2", fence),
}


def test_image_that_is_not_primary_is_unchanged_and_the_reason_is_named(
    connection: Connection, ioctx: Any, ceph: Ceph
) -> None:
    query = mirrored(ceph, ioctx)
    volume_snapshots.create(ioctx, query.id, "sutler-1", fence)
    ceph.rbd("mirror", "image", "demote", f"{ioctx.get_pool_name()}/data")
    assert state(ioctx) == ImageMirroring("snapshot", "enabled", primary=False)
    before = directory.get_header(ioctx, "data").version
    for name, change in CHANGES.items():
        with pytest.raises(InUse, match="it is mirrored and not primary: change it at its primary site"):
            change(connection, ioctx, query)
        assert directory.get_header(ioctx, "data").version == before, name
    assert images.resize(ioctx, "data", 4 * MIB, fence) == 8 * MIB


def test_state_is_read_without_a_call_for_an_image_that_is_not_mirrored(ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    assert state(ioctx) is None
    assert dependents.read(ioctx, identifier, "data").demoted is False
