"""Images that are created without librbd, used by librbd and its tools."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import rados

from provisioner.ceph import cls_rbd as wire
from provisioner.ceph import fast_create
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.errors import ImageTaken, NamespaceMissing, NoSpace
from provisioner.ceph.model import ImageQuery, ImageSpec, JournalEntry
from provisioner.ceph.pool import RbdPool
from tests.ceph.test_images import sent
from tests.cluster import Ceph, wait_for

OWNER = "sutler.dev/uid"
UID = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11"
ID = "0123456789abcd"
SPEC = ImageSpec(f"shop-data-{UID}", 1610612736, metadata={OWNER: UID, "note": "für dich"}, id=ID)
ALL_FEATURES = ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten")
STAMPS = {"create_timestamp", "access_timestamp", "modify_timestamp"}


@pytest.fixture
def ioctx(ceph: Ceph, pool: str) -> Iterator[Any]:
    with rados.Rados(conffile=str(ceph.conf)) as cluster, cluster.open_ioctx(pool) as opened:
        yield opened


async def create(pool: RbdPool, spec: ImageSpec = SPEC, entry: JournalEntry | None = None) -> None:
    await pool.create(spec, owner=OWNER, fence=lambda: None, entry=entry)


def omap(ioctx: Any, name: str) -> dict[str, bytes]:
    with rados.ReadOpCtx() as operation:
        found, _ = ioctx.get_omap_vals(operation, "", "", 100)
        ioctx.operate_read_op(operation, name)
        return dict(found)


def objects(ioctx: Any) -> set[str]:
    """Apart from those that every pool has."""
    return {one.key for one in ioctx.list_objects()} - {"rbd_info", "rbd_trash", "rbd_directory"}


@pytest.mark.parametrize(
    "features",
    [("layering",), ("layering", "exclusive-lock", "object-map"), ALL_FEATURES],
    ids=["layering", "object map without fast-diff", "all features"],
)
async def test_created_image_is_byte_for_byte_the_one_of_librbd(
    images: RbdPool, ceph: Ceph, ioctx: Any, features: tuple[str, ...]
) -> None:
    for size, order in (1610612736, 22), (2**30 + 512, 25), (512, 12):
        await create(images, replace(SPEC, features=features, size=size, object_size=2**order))
        compare(images, ceph, ioctx, features, size, order)
        await images.remove(ImageQuery(SPEC.name, UID, ""), fence=lambda: None)


def compare(images: RbdPool, ceph: Ceph, ioctx: Any, features: tuple[str, ...], size: int, order: int) -> None:
    path = f"{images.name}/theirs-{size}"
    shape = ["--size", f"{size}B", "--object-size", f"{2**order}B", "--image-feature", ",".join(features)]
    ceph.rbd_program("create", path, *shape)
    theirs = json.loads(ceph.rbd_program("info", path, "--format", "json"))["id"]
    header, their_header = omap(ioctx, f"rbd_header.{ID}"), omap(ioctx, f"rbd_header.{theirs}")
    assert wire.decode_text(header.pop("object_prefix")) == f"rbd_data.{ID}"
    assert wire.decode_text(their_header.pop("object_prefix")) == f"rbd_data.{theirs}"
    assert set(header) - set(their_header) == {
        f"metadata_{key}" for key in (*SPEC.metadata, "sutler.dev/pool-id", "sutler.dev/image-id")
    }
    assert {key: header[key] for key in header.keys() & their_header.keys() - STAMPS} == {
        key: value for key, value in their_header.items() if key not in STAMPS
    }
    for kind in ("rbd_header.", "rbd_object_map.") if "object-map" in features else ("rbd_header.",):
        assert ioctx.read(kind + ID, 2**20) == ioctx.read(kind + theirs, 2**20)


async def test_created_image_supports_all_operations_of_librbd(images: RbdPool, ceph: Ceph) -> None:
    await create(images, replace(SPEC, features=ALL_FEATURES, size=2**24))
    path = f"{images.name}/{SPEC.name}"
    ceph.rbd_program("bench", "--io-type", "write", "--io-size", "64K", "--io-total", "5M", "--io-threads", "1", path)
    ceph.rbd_program("object-map", "check", path)
    assert json.loads(ceph.rbd_program("du", path, "--format", "json"))["images"][0]["used_size"] == 2**23
    ceph.rbd_program("snap", "create", f"{path}@base")
    ceph.rbd_program("clone", "--rbd-default-clone-format", "2", f"{path}@base", f"{images.name}/copy")
    ceph.rbd_program("flatten", f"{images.name}/copy")
    ceph.rbd_program("resize", path, "--size", "32M")
    ceph.rbd_program("snap", "rm", f"{path}@base")
    ceph.rbd_program("feature", "disable", path, "object-map")
    ceph.rbd_program("mv", path, f"{path}-renamed")
    ceph.rbd_program("trash", "mv", f"{path}-renamed")
    ceph.rbd_program("trash", "restore", f"{images.name}/{ID}")
    ceph.rbd_program("rm", f"{path}-renamed")
    ceph.rbd_program("rm", f"{images.name}/copy")
    assert await images.list_images() == []


async def test_removed_image_leaves_no_object(images: RbdPool, ioctx: Any) -> None:
    await create(images, replace(SPEC, features=ALL_FEATURES))
    await images.remove(ImageQuery(SPEC.name, UID, ""), fence=lambda: None)
    assert objects(ioctx) == set()
    assert omap(ioctx, "rbd_directory") == {}


@pytest.mark.usefixtures("remembered")
async def test_creation_costs_three_osd_operations_and_two_more_in_ceph_csis_journal(
    images: RbdPool, ceph: Ceph
) -> None:
    await create(images, replace(SPEC, name="first", id="first"))  # what only a new pool and a new connection need

    async def cost(number: int, entry: JournalEntry | None) -> int:
        before = await sent(images, ceph)
        name = entry.image if entry else f"image-{number}"
        await create(images, replace(SPEC, name=name, id=f"{number}"), entry)
        return await sent(images, ceph) - before - 1

    assert await cost(1, None) == 3
    assert await cost(2, JournalEntry("2", "pvc-2", "shop")) == 5


async def test_interrupted_creation_is_finished(images: RbdPool, ioctx: Any) -> None:
    spec = replace(SPEC, features=ALL_FEATURES)
    await create(images, spec)
    whole = await images.describe(spec.name)
    steps = [f"rbd_header.{ID}", f"rbd_object_map.{ID}", f"rbd_id.{spec.name}"]
    for missing in range(len(steps) + 1):
        for name in steps[:missing]:
            ioctx.remove_object(name)
        await create(images, spec)
        found = await images.describe(spec.name)
        assert replace(found, created=whole.created) == whole


@pytest.mark.parametrize("left", ["directory", "name", "both"])
async def test_interrupted_creation_of_librbd_is_replaced(images: RbdPool, ioctx: Any, ceph: Ceph, left: str) -> None:
    ceph.rbd_program("create", f"{images.name}/{SPEC.name}", "--size", "1M")
    theirs = (await images.describe(SPEC.name)).id
    ioctx.remove_object(f"rbd_header.{theirs}")
    if left == "directory":
        ioctx.remove_object(f"rbd_id.{SPEC.name}")
    if left == "name":
        fast_create._execute(
            ioctx, "rbd_directory", ("dir_remove_image", wire.encode_text(SPEC.name) + wire.encode_text(theirs))
        )
    await create(images)
    assert (await images.describe(SPEC.name)).id == ID
    assert [image.id for image in await images.list_images()] == [ID]


async def test_image_in_the_trash_or_renamed_is_not_created_twice(images: RbdPool, ceph: Ceph) -> None:
    await create(images)
    ceph.rbd_program("trash", "mv", f"{images.name}/{SPEC.name}")
    with pytest.raises(ImageTaken, match="in the trash"):
        await create(images)
    assert await images.list_images() == []
    ceph.rbd_program("trash", "restore", f"{images.name}/{ID}", "--image", "other")
    with pytest.raises(ImageTaken, match="renamed"):
        await create(images)
    assert [image.name for image in await images.list_images()] == ["other"]


async def test_missing_namespace_is_not_created(cluster: CephCluster, ceph: Ceph, pool: str) -> None:
    with pytest.raises(NamespaceMissing, match=f"namespace tenant does not exist in pool {pool}"):
        await create(cluster.pool(pool, "tenant"))
    ceph.rbd_program("namespace", "create", f"{pool}/tenant")
    await create(cluster.pool(pool, "tenant"))
    assert ceph.rbd_program("ls", f"{pool}/tenant").strip() == SPEC.name


async def test_full_pool_gets_no_incomplete_image(images: RbdPool, ceph: Ceph, ioctx: Any) -> None:
    await create(images, replace(SPEC, name="first", id="1" * 14))
    before = objects(ioctx)
    ceph.ceph("osd", "pool", "set-quota", images.name, "max_objects", "1")
    wait_for(lambda: "full" in ceph.ceph("osd", "pool", "ls", "detail"), "the pool to be full")
    with pytest.raises(NoSpace, match=f"creating image {images.name}/{SPEC.name}: .* quota .*EDQUOT"):
        await create(images)
    assert objects(ioctx) == before
    assert [image.name for image in await images.list_images()] == ["first"]


async def test_removed_incomplete_image_leaves_nothing(images: RbdPool, ceph: Ceph, ioctx: Any) -> None:
    await create(images)
    ioctx.remove_object(f"rbd_header.{ID}")
    fast_create.remove_incomplete(ioctx, SPEC.name, ID, "image")
    assert (objects(ioctx), omap(ioctx, "rbd_directory")) == (set(), {})
    assert ceph.rbd_program("ls", images.name) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"features": ("layering", "exclusive-lock", "journaling")},
        {"data_pool": "ec"},
        {"stripe_unit": 4096, "stripe_count": 2},
        {"object_size": 2**26},
        {"name": "x" * 129},
        {"features": ALL_FEATURES, "size": 2**52},
    ],
    ids=str,
)
def test_other_images_are_left_to_librbd(change: dict[str, Any]) -> None:
    assert fast_create.can_create(SPEC)
    assert not fast_create.can_create(replace(SPEC, **change))
