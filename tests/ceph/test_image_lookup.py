"""The image that the removal of a volume finds after renames, copies, migrations and moves to the trash."""

import secrets
from dataclasses import replace

import pytest

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.errors import ImageTaken, InUse
from provisioner.ceph.model import ImageQuery, ImageSpec
from provisioner.ceph.pool import RbdPool
from sutler.volumes.identity import image_id
from tests.cluster import Ceph

OWNER, KUBERNETES = "sutler.dev/uid", "sutler.dev/kubernetes"
UID, HERE = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11", "our-cluster"
NAME = f"shop-data-{UID}"
ID = image_id(HERE, NAME)
SPEC = ImageSpec(NAME, 4 << 20, metadata={OWNER: UID, KUBERNETES: HERE}, id=ID)
STRIPED = replace(SPEC, stripe_unit=4096, stripe_count=2)
"""librbd draws the id of such an image."""
KNOWN, OLD = ImageQuery(NAME, UID, HERE, ID), ImageQuery(NAME, UID, HERE)
"""OLD: by a volume that does not know the id."""


async def make(images: RbdPool, spec: ImageSpec = SPEC) -> str:
    _, identifier = await images.create(spec, owner=OWNER, fence=lambda: None)
    return identifier


async def make_as_before(images: RbdPool, ceph: Ceph, spec: ImageSpec = SPEC) -> str:
    """As version 0.1.0 did: the image names no ids."""
    identifier = await make(images, spec)
    for key in ("sutler.dev/pool-id", "sutler.dev/image-id"):
        ceph.rbd("image-meta", "remove", f"{images.name}/{spec.name}", key)
    return identifier


async def remove(images: RbdPool, sought: ImageQuery) -> set[str]:
    """The names that are left."""
    await images.remove(sought, fence=lambda: None)
    return {image.name for image in await images.list_images()}


def copies(ceph: Ceph, pool: str) -> set[str]:
    """What people call a backup."""
    path = f"{pool}/{NAME}"
    ceph.rbd("cp", path, f"{pool}/backup")
    ceph.rbd("snap", "create", f"{path}@one")
    ceph.rbd("snap", "protect", f"{path}@one")
    ceph.rbd("clone", f"{path}@one", f"{pool}/flat")
    ceph.rbd("flatten", f"{pool}/flat")
    ceph.rbd("snap", "unprotect", f"{path}@one")
    ceph.rbd("deep", "cp", path, f"{pool}/deep")
    ceph.rbd("snap", "rm", f"{path}@one")
    ceph.rbd("export", path, f"{ceph.state}/exported")
    ceph.rbd("import", f"{ceph.state}/exported", f"{pool}/imported")
    (ceph.state / "exported").unlink()
    return {"backup", "flat", "deep", "imported"}


@pytest.mark.parametrize("sought", [KNOWN, OLD], ids=["id known", "id not known"])
async def test_image_is_removed_and_its_copies_stay(images: RbdPool, ceph: Ceph, sought: ImageQuery) -> None:
    await make(images)
    kept = copies(ceph, images.name)
    assert await remove(images, sought) == kept
    assert await remove(images, sought) == kept


async def test_renamed_image_is_removed_and_the_one_with_its_name_stays(images: RbdPool, ceph: Ceph) -> None:
    await make(images)
    ceph.rbd("rename", f"{images.name}/{NAME}", f"{images.name}/renamed")
    ceph.rbd("cp", f"{images.name}/renamed", f"{images.name}/{NAME}")
    assert await remove(images, KNOWN) == {NAME}


async def test_adopted_image_is_not_taken_for_the_one_that_was_never_made_for_its_owner(images: RbdPool) -> None:
    await make(images, replace(SPEC, name="adopted", id=image_id(HERE, "adopted")))
    assert await remove(images, KNOWN) == {"adopted"}


async def test_foreign_image_under_the_name_is_kept(images: RbdPool, ceph: Ceph) -> None:
    await make(images)
    ceph.rbd("rm", f"{images.name}/{NAME}")
    ceph.rbd("create", "--size", "4M", f"{images.name}/{NAME}")
    with pytest.raises(ImageTaken, match=f"no {OWNER} instead of {UID}"):
        await images.remove(KNOWN, fence=lambda: None)


async def test_another_kubernetes_clusters_image_is_kept(images: RbdPool) -> None:
    """A backup tool restores volumes under their names in another cluster, while both use one pool."""
    await make(images)
    with pytest.raises(ImageTaken, match="belongs to Kubernetes cluster our-cluster, and this is theirs"):
        await images.remove(replace(KNOWN, kubernetes="theirs"), fence=lambda: None)


@pytest.mark.parametrize("spec", [SPEC, STRIPED], ids=["our own", "librbd's"])
async def test_image_of_version_0_1_0_is_removed(images: RbdPool, ceph: Ceph, spec: ImageSpec) -> None:
    await make_as_before(images, ceph, spec)
    assert await remove(images, OLD) == set()


async def test_renamed_image_of_version_0_1_0_is_known_by_the_id_that_follows_from_its_name(
    images: RbdPool, ceph: Ceph
) -> None:
    await make_as_before(images, ceph)
    ceph.rbd("cp", f"{images.name}/{NAME}", f"{images.name}/backup")
    ceph.rbd("rename", f"{images.name}/{NAME}", f"{images.name}/renamed")
    assert await remove(images, OLD) == {"backup"}


async def test_nothing_is_removed_without_proof_which_one_is_the_copy(images: RbdPool, ceph: Ceph) -> None:
    identifier = await make_as_before(images, ceph, STRIPED)
    ceph.rbd("cp", f"{images.name}/{NAME}", f"{images.name}/backup")
    with pytest.raises(ImageTaken, match="backup in the same pool and namespace names the same owner"):
        await images.remove(OLD, fence=lambda: None)
    # Under the name that the volume knows there is none, and the one that names it as the owner may be a copy.
    ceph.rbd("trash", "mv", f"{images.name}/{NAME}")
    with pytest.raises(ImageTaken, match="backup in the same pool and namespace names the same owner"):
        await images.remove(OLD, fence=lambda: None)
    assert await remove(images, replace(OLD, id=identifier)) == {"backup"}


async def test_image_in_the_trash_is_left_there(images: RbdPool, ceph: Ceph) -> None:
    await make(images)
    ceph.rbd("rename", f"{images.name}/{NAME}", f"{images.name}/renamed")
    ceph.rbd("trash", "mv", f"{images.name}/renamed")
    for sought in (KNOWN, OLD):
        assert await remove(images, sought) == set()
    assert [entry.id for entry in await images.list_trash()] == [ID]


@pytest.mark.parametrize("sought", [KNOWN, OLD], ids=["id known", "id not known"])
async def test_image_with_the_name_of_one_in_the_trash_stays(images: RbdPool, ceph: Ceph, sought: ImageQuery) -> None:
    await make(images)
    ceph.rbd("trash", "mv", f"{images.name}/{NAME}")
    assert await remove(images, sought) == set()
    assert [entry.id for entry in await images.list_trash()] == [ID]
    ceph.rbd("create", f"{images.name}/{NAME}", "--size", "1M")
    assert await remove(images, sought) == {NAME}
    assert [entry.id for entry in await images.list_trash()] == [ID]


async def test_image_under_migration_is_kept_and_the_result_belongs_to_the_volume(images: RbdPool, ceph: Ceph) -> None:
    await make(images)
    path = f"{images.name}/{NAME}"
    ceph.rbd("migration", "prepare", path, path, "--object-size", "8M")
    with pytest.raises(InUse, match="is being migrated"):
        await images.remove(KNOWN, fence=lambda: None)
    for step in ("execute", "commit"):
        ceph.rbd("migration", step, path)
    assert (await images.describe(NAME)).id != ID
    assert await remove(images, KNOWN) == set()


async def test_renamed_pool_is_known_by_its_number(cluster: CephCluster, images: RbdPool, ceph: Ceph) -> None:
    await make(images)
    number, new = await images.number(), f"renamed-{secrets.token_hex(4)}"
    ceph.ceph("osd", "pool", "rename", images.name, new)
    try:
        ceph.pool(images.name)
        again = await cluster.get_pool_by_number(number)
        assert await remove(again, KNOWN) == set()
    finally:
        ceph.remove_pool(new)
