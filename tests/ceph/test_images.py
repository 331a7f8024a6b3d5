"""Images of claims, in a real Ceph cluster."""

import asyncio
import re
import secrets
from contextlib import suppress
from dataclasses import replace

import pytest
import rados

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import (
    ImageMissing,
    ImageTaken,
    InUse,
    InvalidArgument,
    NamespaceMissing,
    NoSpace,
    PoolMissing,
)
from provisioner.ceph.model import ImageQuery, ImageSpec, JournalEntry
from provisioner.ceph.pool import RbdPool
from sutler.errors import SutlerError
from tests.cluster import Ceph, wait_for

OWNER = "sutler.dev/uid"
UID = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11"
SPEC = ImageSpec(f"shop-data-{UID}", 1610612736, metadata={OWNER: UID, "note": "für dich"})


def open_gate() -> None:
    """A fence that lets everything through."""


class FencedError(SutlerError):
    pass


def closed_gate() -> None:
    raise FencedError("not ours any more")


async def create(pool: RbdPool, spec: ImageSpec = SPEC) -> None:
    await pool.create(spec, owner=OWNER, fence=open_gate)


async def remove(pool: RbdPool, name: str = SPEC.name, value: str = UID) -> None:
    await pool.remove(ImageQuery(name, value, ""), fence=open_gate)


async def test_image_is_created_exactly_as_requested(images: RbdPool) -> None:
    features = ("layering", "exclusive-lock", "object-map", "fast-diff")
    await create(images, replace(SPEC, features=features, object_size=2**23))
    found = await images.describe(SPEC.name)
    assert (found.size, found.object_size) == (1610612736, 2**23)
    assert set(found.features) == set(features)
    own = {"sutler.dev/pool-id": str(await images.number()), "sutler.dev/image-id": found.id}
    assert dict(found.metadata) == {**SPEC.metadata, **own}
    assert (found.watchers, found.snapshots, found.children) == ((), (), ())
    assert [(i.name, i.id) for i in await images.list_images()] == [(SPEC.name, found.id)]


async def test_repeated_creation_changes_nothing(images: RbdPool) -> None:
    await create(images)
    before = await images.describe(SPEC.name)
    await create(images)
    assert await images.describe(SPEC.name) == before


async def test_metadata_is_compatible_with_rbd(images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    ceph.rbd_program("image-meta", "set", f"{images.name}/{SPEC.name}", "from", "rbd")
    assert (await images.describe(SPEC.name)).metadata["from"] == "rbd"
    assert ceph.rbd_program("image-meta", "get", f"{images.name}/{SPEC.name}", "note").strip() == "für dich"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 1024}, "exists with 1610612736 bytes instead of 1024"),
        ({"metadata": {OWNER: "another"}}, f"belongs to {UID}"),
    ],
)
async def test_image_of_another_owner_is_never_used(images: RbdPool, change: dict[str, object], says: str) -> None:
    await create(images)
    with pytest.raises(ImageTaken, match=says):
        await create(images, replace(SPEC, **change))  # type: ignore[arg-type] # a table of fields of several types


async def test_image_without_owner_is_finished_only_under_a_name_that_holds_the_owner(
    images: RbdPool, ceph: Ceph
) -> None:
    other = replace(SPEC, name="backup")
    for name in (SPEC.name, other.name):
        ceph.rbd_program("create", f"{images.name}/{name}", "--size", f"{SPEC.size}B")
    await create(images)
    assert (await images.describe(SPEC.name)).metadata[OWNER] == UID
    with pytest.raises(ImageTaken, match="names no owner"):
        await create(images, other)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"object_size": 2**30}, InvalidArgument, "objects of 4 KiB to 32 MiB) (EDOM, 33)"),
        ({"name": "x" * 5000}, InvalidArgument, "too long (ENAMETOOLONG, 36)"),
        ({"data_pool": "nope"}, PoolMissing, "pool nope does not exist"),
        ({"stripe_unit": 3000, "stripe_count": 2}, InvalidArgument, "(EINVAL, 22)"),
    ],
)
async def test_rejected_parameters_are_explained(
    images: RbdPool, change: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        await create(images, replace(SPEC, **change))  # type: ignore[arg-type] # a table of fields of several types
    assert says in str(caught.value)
    assert len(str(caught.value)) < 600
    assert await images.list_images() == []


async def test_missing_pool_and_namespace_are_distinguished_from_a_missing_image(
    cluster: CephCluster, pool: str
) -> None:
    with pytest.raises(PoolMissing, match="pool nope does not exist"):
        await create(cluster.pool("nope"))
    with pytest.raises(NamespaceMissing, match=f"namespace tenant does not exist in pool {pool}"):
        await create(cluster.pool(pool, "tenant"))
    with pytest.raises(ImageMissing, match=f"{pool}/x: it does not exist"):
        await cluster.pool(pool).describe("x")
    assert not await cluster.pool("nope").exists()
    assert await cluster.pool(pool).exists()


async def test_recreated_pool_is_found(cluster: CephCluster, pool: str, ceph: Ceph) -> None:
    images = cluster.pool(pool)
    await create(images)
    ceph.remove_pool(pool)
    with pytest.raises(PoolMissing):
        await images.list_images()
    ceph.pool(pool)
    await create(images)
    assert len(await images.list_images()) == 1


async def test_repeated_removal_is_a_success(images: RbdPool) -> None:
    await create(images)
    await remove(images)
    await remove(images)
    assert await images.list_images() == []


async def test_image_is_removed_for_its_owner_only(images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    ceph.rbd_program("create", f"{images.name}/foreign", "--size", "1M")
    with pytest.raises(ImageTaken, match="does not belong to this volume"):
        await remove(images, value="another")
    with pytest.raises(ImageTaken, match=r"metadata has no sutler\.dev/uid"):
        await remove(images, name="foreign")
    assert len(await images.list_images()) == 2


async def test_image_with_a_snapshot_is_neither_removed_nor_trashed(images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    ceph.rbd_program("snap", "create", f"{images.name}/{SPEC.name}@nightly")
    with pytest.raises(InUse, match="nightly"):
        await remove(images)
    with pytest.raises(InUse, match="nightly"):
        await images.move_to_trash(ImageQuery(SPEC.name, UID, ""), delay=0, fence=open_gate)
    assert len(await images.list_images()) == 1


async def test_trashed_image_can_be_restored(images: RbdPool) -> None:
    await create(images)
    await images.move_to_trash(ImageQuery(SPEC.name, UID, ""), delay=60, fence=open_gate)
    (entry,) = await images.list_trash()
    assert (entry.name, entry.until > entry.deleted) == (SPEC.name, True)
    assert (await images.get_metadata(entry.id))[OWNER] == UID
    await images.restore(entry.id, SPEC.name, fence=open_gate)
    assert (await images.describe(SPEC.name)).id == entry.id


async def test_image_grows_and_never_shrinks(images: RbdPool) -> None:
    await create(images)
    assert await images.resize(SPEC.name, 2**31, fence=open_gate) == 2**31
    assert await images.resize(SPEC.name, 2**30, fence=open_gate) == 2**31


async def test_nothing_is_changed_behind_a_closed_fence(images: RbdPool) -> None:
    with pytest.raises(FencedError):
        await images.create(SPEC, owner=OWNER, fence=closed_gate)
    assert await images.list_images() == []
    await create(images)
    for change in (
        images.remove(ImageQuery(SPEC.name, UID, ""), fence=closed_gate),
        images.move_to_trash(ImageQuery(SPEC.name, UID, ""), delay=0, fence=closed_gate),
        images.resize(SPEC.name, 2**31, fence=closed_gate),
    ):
        with pytest.raises(FencedError):
            await change
    assert (await images.describe(SPEC.name)).size == SPEC.size


async def test_full_pool_fails_at_once_and_can_still_be_emptied(images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    ceph.ceph("osd", "pool", "set-quota", images.name, "max_objects", "1")
    wait_for(lambda: "full" in ceph.ceph("osd", "pool", "ls", "detail"), "the pool to be full")
    assert (await images.space()).quota is None
    with pytest.raises(NoSpace, match="EDQUOT"):
        await create(images, replace(SPEC, name=f"second-{UID}"))
    await remove(images)
    assert await images.list_images() == []


@pytest.mark.usefixtures("remembered")
async def test_one_create_costs_at_most_nine_osd_operations(images: RbdPool, ceph: Ceph) -> None:
    await create(images, replace(SPEC, name="first"))  # what only a new pool and a new connection need

    before = await sent(images, ceph)
    await asyncio.gather(*(create(images, replace(SPEC, name=f"image-{n}")) for n in range(20)))
    cost = (await sent(images, ceph) - before - 1) / 20
    assert cost <= 9, cost


@pytest.mark.usefixtures("remembered")
async def test_journaled_image_is_found_by_ceph_csis_keys_and_costs_at_most_twelve_operations(
    images: RbdPool, ceph: Ceph
) -> None:
    entry = JournalEntry(UID, f"pvc-{UID}", "shop")
    await create(images, replace(SPEC, name="first"))
    before = await sent(images, ceph)
    spec = replace(SPEC, name=entry.image)
    await images.create(spec, owner=OWNER, fence=open_gate, entry=entry)
    assert await sent(images, ceph) - before - 1 <= 12
    await images.create(spec, owner=OWNER, fence=open_gate, entry=entry)

    def omap(name: str) -> dict[str, str]:
        connection = rados.Rados(conffile=str(ceph.conf))
        with connection, connection.open_ioctx(images.name) as ioctx, rados.ReadOpCtx() as operation:
            found, _ = ioctx.get_omap_vals(operation, "", "", 100)
            ioctx.operate_read_op(operation, name)
            return {key: value.decode() for key, value in found}

    assert omap("csi.volumes.default") == {f"csi.volume.pvc-{UID}": UID}
    assert omap(f"csi.volume.{UID}") == {
        "csi.volname": f"pvc-{UID}",
        "csi.imagename": entry.image,
        "csi.imageid": (await images.describe(entry.image)).id,
        "csi.volume.owner": "shop",
    }
    with pytest.raises(ImageTaken, match=f"entry {UID} of ceph-csi's journal belongs to volume pvc-{UID}"):
        await images.create(spec, owner=OWNER, fence=open_gate, entry=replace(entry, volume="other"))
    for _ in range(2):
        await images.remove_journal_entry(entry, fence=open_gate)
    assert omap("csi.volumes.default") == {}
    with pytest.raises(rados.ObjectNotFound):
        omap(f"csi.volume.{UID}")


async def sent(pool: RbdPool, ceph: Ceph) -> int:
    """How many operations the pool's connection has sent to the OSD, the one that finds this out included.

    The OSD counts those of all clients; but a connection numbers its own, and the OSD remembers them for a while.
    """
    marker = f"marker-{secrets.token_hex(8)}"

    def mark(connection: Connection) -> int:
        with suppress(rados.ObjectNotFound):
            connection.ioctx(pool.name).stat(marker)
        return int(connection.rados.get_instance_id())

    def daemon(*words: str) -> str:
        return ceph.ceph("daemon", str(ceph.state / "osd.0.asok"), *words)

    for option, value in (("size", 10_000), ("duration", 30)):
        daemon("config", "set", f"osd_op_history_{option}", f"{value}")
    client = await pool._cluster.run("mark", mark)
    operation = re.compile(rf"osd_op\(client\.{client}\.0:(\d+) [^)]*{marker}")
    found = wait_for(lambda: operation.search(daemon("dump_historic_ops")), "the OSD to remember the operation")
    return int(found[1])
