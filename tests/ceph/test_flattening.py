"""Clones that are flattened while they are in use, stopped and repeated, on a real Ceph."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import rbd

from provisioner.ceph import clones, flattening, parking
from provisioner.ceph.clones import CloneOrigin
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import InUse
from provisioner.ceph.model import ImageQuery
from provisioner.ceph.removal_progress import Cancelled, ignore_progress
from tests.ceph.test_clones import CHILD, KUBERNETES, MIB, OWNER, PATTERN, fence, owned, spec
from tests.cluster import Ceph

OBJECT = 4096
COUNT = 64
FEATURES = {"as by default": ("layering",), "with a lock": ("layering", "exclusive-lock")}


@pytest.fixture
def connection(settings: ClusterSettings) -> Iterator[Connection]:
    made = Connection(settings)
    yield made
    made.close()


@pytest.fixture
def ioctx(connection: Connection, pool: str) -> Any:
    return connection.ioctx(pool)


def cloned(connection: Connection, ioctx: Any, features: tuple[str, ...] = ("layering",)) -> tuple[str, str]:
    """The ids of an image with data in each object, and of its clone."""
    parent = owned(ioctx, "data", OWNER)
    with rbd.Image(ioctx, "data") as image:
        for number in range(2):
            image.write(PATTERN, number * 4 * MIB)
    wanted = spec(features=features)
    made = clones.create(connection, ioctx, wanted, CloneOrigin(ioctx.get_pool_id(), "", parent), fence=fence)
    return parent, made.id


def content(ioctx: Any, identifier: str) -> list[bytes]:
    with rbd.Image(ioctx, image_id=identifier, read_only=True) as image:
        return [bytes(image.read(number * 4 * MIB, len(PATTERN))) for number in range(2)]


def has_parent(ioctx: Any, identifier: str) -> bool:
    with rbd.Image(ioctx, image_id=identifier, read_only=True) as image:
        return flattening._has_parent(image)


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
def test_clone_in_use_is_flattened_with_its_new_data_and_its_parent_is_free(
    features: tuple[str, ...], connection: Connection, ioctx: Any
) -> None:
    parent, child = cloned(connection, ioctx, features)
    assert parking.park(ioctx, ImageQuery("data", OWNER, KUBERNETES, parent), None, fence) is True
    with rbd.Image(ioctx, image_id=child) as user:
        user.write(b"second", 0)
        writer = threading.Thread(target=lambda: [user.write(b"third", MIB) for _ in range(20)])
        writer.start()
        assert flattening.flatten_volume(ioctx, child, fence, ignore_progress) is True
        writer.join()
    assert content(ioctx, child) == [b"second" + PATTERN[6:], PATTERN]
    assert has_parent(ioctx, child) is False
    found = parking.find_parked(ioctx, parent)
    assert found is not None
    assert found.is_free
    assert flattening.flatten_volume(ioctx, child, fence, ignore_progress) is False
    assert flattening.flatten_volume(ioctx, parent, fence, ignore_progress) is False


def test_flattening_that_was_stopped_is_finished_by_the_next_call(connection: Connection, ioctx: Any) -> None:
    _, child = cloned(connection, ioctx)

    def stop(_: float) -> None:
        raise Cancelled("the controller stops")

    with pytest.raises(Cancelled, match="stopped before it was complete: the controller stops"):
        flattening.flatten_volume(ioctx, child, fence, stop)
    assert has_parent(ioctx, child) is True
    assert content(ioctx, child) == [PATTERN, PATTERN]
    assert flattening.flatten_volume(ioctx, child, fence, ignore_progress) is True
    assert content(ioctx, child) == [PATTERN, PATTERN]


def test_snapshot_of_a_flattened_clone_still_needs_the_parent(connection: Connection, ioctx: Any) -> None:
    """Without the feature deep-flatten. The parent must stay parked until the snapshot is deleted."""
    parent, child = cloned(connection, ioctx)
    parking.park(ioctx, ImageQuery("data", OWNER, KUBERNETES, parent), None, fence)
    with rbd.Image(ioctx, image_id=child) as image:
        image.create_snap("monday")
    assert flattening.flatten_volume(ioctx, child, fence, ignore_progress) is True
    assert flattening.flatten_volume(ioctx, child, fence, ignore_progress) is False
    found = parking.find_parked(ioctx, parent)
    assert found is not None
    assert not found.is_free
    with rbd.Image(ioctx, image_id=child, snapshot="monday", read_only=True) as image:
        assert bytes(image.read(4 * MIB, len(PATTERN))) == PATTERN
    with rbd.Image(ioctx, image_id=child) as image:
        image.remove_snap("monday")
    found = parking.find_parked(ioctx, parent)
    assert found is not None
    assert found.is_free


def test_demoted_clone_is_not_flattened(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    _, child = cloned(connection, ioctx)
    pool, name = ioctx.get_pool_name(), f"clone-{CHILD}"
    ceph.rbd("mirror", "pool", "enable", pool, "image")
    ceph.rbd("mirror", "image", "enable", f"{pool}/data", "snapshot")
    ceph.rbd("mirror", "image", "enable", f"{pool}/{name}", "snapshot")
    ceph.rbd("mirror", "image", "demote", f"{pool}/{name}")
    with pytest.raises(InUse, match="is unchanged: it is mirrored and not primary"):
        flattening.flatten_volume(ioctx, child, fence, ignore_progress)
    assert has_parent(ioctx, child) is True
