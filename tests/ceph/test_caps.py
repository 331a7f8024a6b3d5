"""The documented caps suffice for everything that Sutler does, and for nothing else."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from provisioner.ceph.errors import CephUnavailable, Denied, NamespaceMissing
from provisioner.ceph.model import ImageQuery, JournalEntry
from tests.ceph.test_fast_create import ALL_FEATURES, OWNER, SPEC, UID
from tests.ceph.test_images import open_gate
from tests.cluster import Ceph
from tests.cluster.wait import wait_for_async


def caps(pool: str) -> list[str]:
    """The user has the caps of the installation guide."""
    return ["mon", "profile rbd", "osd", f"profile rbd pool={pool}", "mgr", f"profile rbd pool={pool}"]


@pytest.fixture
async def limited(ceph: Ceph, settings: ClusterSettings, pool: str) -> AsyncIterator[CephCluster]:
    user = f"sutler-{secrets.token_hex(4)}"
    key = ceph.ceph("auth", "get-or-create-key", f"client.{user}", *caps(pool)).strip()
    made = CephCluster(replace(settings, user=user, key=key))
    yield made
    await made.close()
    ceph.ceph("auth", "rm", f"client.{user}")


async def test_documented_caps_suffice_for_the_life_of_a_volume(limited: CephCluster, ceph: Ceph, pool: str) -> None:
    ceph.wait_for_manager()
    assert len(await limited.fsid()) == len(UID)
    assert await limited.monitors()
    images, entry = limited.pool(pool), JournalEntry(UID, f"pvc-{UID}", "shop")
    by_librbd = {"stripe_unit": 4096, "stripe_count": 2}
    for spec in (
        SPEC,
        replace(SPEC, name=f"b-{UID}", id="2", features=ALL_FEATURES),
        replace(SPEC, name=f"c-{UID}", id=None, **by_librbd),  # type: ignore[arg-type] # numbers for both
        replace(SPEC, name=entry.image, id="3"),
    ):
        await images.create(spec, owner=OWNER, fence=open_gate, entry=entry if spec.name == entry.image else None)
        assert (await images.describe(spec.name)).metadata[OWNER] == UID
        assert await images.resize(spec.name, 2**31, fence=open_gate) == 2**31
        await images.move_to_trash(ImageQuery(spec.name, UID, ""), delay=0, fence=open_gate)
        (thrown,) = await images.list_trash()
        await images.restore(thrown.id, spec.name, fence=open_gate)
        await images.move_to_trash(ImageQuery(spec.name, UID, ""), delay=0, fence=open_gate)
        await images.purge(thrown.id, fence=open_gate)
        await images.create(spec, owner=OWNER, fence=open_gate)
        await images.remove(ImageQuery(spec.name, UID, ""), fence=open_gate)
    await images.remove_journal_entry(entry, fence=open_gate)

    async def measured() -> bool:
        try:
            return (await images.space()).free > 0
        except CephUnavailable:
            return False

    await wait_for_async(measured, "the manager's statistics of a new pool")
    assert await images.list_images() == []
    assert await images.list_trash() == []


async def test_caps_of_one_rados_namespace_suffice(ceph: Ceph, settings: ClusterSettings, pool: str) -> None:
    ceph.rbd_program("namespace", "create", f"{pool}/tenant")
    user = f"tenant-{secrets.token_hex(4)}"
    only = [f"{word} namespace=tenant" if word.endswith(pool) else word for word in caps(pool)]
    key = ceph.ceph("auth", "get-or-create-key", f"client.{user}", *only).strip()
    cluster = CephCluster(replace(settings, user=user, key=key))
    images, entry = cluster.pool(pool, "tenant"), JournalEntry(UID, f"pvc-{UID}", "shop")
    for spec in SPEC, replace(SPEC, name="librbd", id=None):
        await images.create(spec, owner=OWNER, fence=open_gate, entry=entry)
        await images.resize(spec.name, 2**31, fence=open_gate)
        await images.move_to_trash(ImageQuery(spec.name, UID, ""), delay=0, fence=open_gate)
        for thrown in await images.list_trash():
            await images.purge(thrown.id, fence=open_gate)
        await images.create(spec, owner=OWNER, fence=open_gate)
        await images.remove(ImageQuery(spec.name, UID, ""), fence=open_gate)
    for elsewhere in cluster.pool(pool), cluster.pool(pool, "other"):
        with pytest.raises((Denied, NamespaceMissing)):
            await elsewhere.create(SPEC, owner=OWNER, fence=open_gate)
    await cluster.close()
    assert ceph.rbd_program("ls", pool) == ceph.rbd_program("ls", f"{pool}/tenant") == ""


async def test_caps_of_one_pool_open_no_other_pool(limited: CephCluster, ceph: Ceph, pool: str) -> None:
    other = ceph.pool(f"{pool}-other")
    try:
        with pytest.raises(Denied, match=r"check .* caps"):
            await limited.pool(other).create(SPEC, owner=OWNER, fence=open_gate)
        with pytest.raises(Denied, match=r"check .* caps"):
            await limited.pool(other).list_images()
    finally:
        ceph.remove_pool(other)
