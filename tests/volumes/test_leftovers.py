"""What a create leaves that was killed half-way, and whose claim is gone then."""

import uuid
from collections.abc import Callable, Iterator

import pytest
import rados

from provisioner.ceph import csi_journal, fast_create
from provisioner.ceph.model import ImageSpec, JournalEntry
from sutler.volumes.identity import image_id
from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.world import World, claim


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """Told to remove what is provably ours after a second."""
    started = start_volumes("--orphans=trash", "--orphan-grace=1")
    started.start()
    yield started
    started.stop()


def identifier(control_plane: ControlPlane, name: str) -> str:
    """The id that the image gets here."""
    return image_id(control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"], name)


def half_made(ceph: Ceph, control_plane: ControlPlane, pool: str) -> str:
    """The name of an image of ours whose header has not been made."""
    name = f"shop-half-{uuid.uuid4()}"
    spec = ImageSpec(name, 1 << 20, id=identifier(control_plane, name))
    with rados.Rados(conffile=str(ceph.conf)) as cluster, cluster.open_ioctx(pool) as ioctx:
        fast_create.create(ioctx, spec, name)
        ioctx.remove_object(f"rbd_header.{spec.id}")
    return name


def test_what_may_be_ours_is_reported_and_only_names_without_an_image_are_removed(world: World) -> None:
    half = half_made(world.ceph, world.control_plane, world.pool)
    # As librbd leaves it when it is killed before the metadata; as others call theirs; and as anybody might.
    nameless = f"shop-data-{uuid.uuid4()}"
    for name in (nameless, f"kubernetes-dynamic-pvc-{uuid.uuid4()}", f"csi-vol-{uuid.uuid4()}", "backup"):
        world.ceph.rbd("create", f"{world.pool}/{name}", "--size", "1M")
    assert half in world.images()
    cls = world.storage_class()
    world.apply(claim("data", cls))
    world.wait_bound()
    wait_for(lambda: half not in world.images(), "the name without an image to go")
    sample = f'sutler_suspected_orphan_images{{cluster="",pool="{world.pool}"}}'
    wait_for(lambda: world.process.metrics().get(sample) == 1, "the image without an owner to be counted")
    assert nameless in world.process.log_text()
    assert len(world.images()) == 5
    for name in world.images():
        if "half" not in name and f"{world.namespace}-data" not in name:
            world.ceph.rbd("rm", f"{world.pool}/{name}")
    wait_for(lambda: world.process.metrics().get(sample) == 0, "it to be forgotten")


@pytest.fixture
def ioctx(world: World) -> Iterator[rados.Ioctx]:
    with rados.Rados(conffile=str(world.ceph.conf)) as cluster, cluster.open_ioctx(world.pool) as ioctx:
        yield ioctx


def lost() -> JournalEntry:
    """A volume in ceph-csi's journal whose claim is gone."""
    uid = str(uuid.uuid4())
    return JournalEntry(uid, f"pvc-{uid}", "shop")


def in_journal(ioctx: rados.Ioctx) -> tuple[set[str], set[str]]:
    """The UUIDs that keys lead to, and those of objects."""
    keys = {entry.uuid for entry, _ in csi_journal.listing(ioctx, lambda _: True)}
    objects = {found.key.removeprefix("csi.volume.") for found in ioctx.list_objects()}
    return keys, {uid for uid in objects if uid.count("-") == 4 and not uid.startswith("rbd")}


def test_entries_of_the_journal_without_an_image_go_and_what_is_not_provably_ours_stays(
    world: World, ioctx: rados.Ioctx
) -> None:
    ours, anothers, dangling, kept, whole = lost(), lost(), lost(), lost(), lost()
    # A volume that needs it, of whomever.
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": kept.volume},
            "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/none"}},
        }
    )
    csis = JournalEntry(str(uuid.uuid4()), f"pvc-{uuid.uuid4()}", "shop")
    nobodys = JournalEntry(str(uuid.uuid4()), f"pvc-{uuid.uuid4()}", "shop")
    spec = ImageSpec(whole.image, 1 << 20, id=identifier(world.control_plane, whole.image))
    fast_create.create(ioctx, spec, whole.image)
    for entry in (ours, dangling, kept, whole, csis):
        csi_journal.reserve(ioctx, entry, identifier(world.control_plane, entry.image))
    csi_journal.reserve(ioctx, nobodys, None)
    csi_journal.reserve(ioctx, anothers, image_id("another cluster", anothers.image))
    ioctx.remove_object(f"csi.volume.{dangling.uuid}")
    stays = {entry.uuid for entry in (anothers, whole, csis, nobodys)}
    try:
        cls = world.storage_class({"journal": "ceph-csi", "clusterID": "b"})
        world.apply(claim("data", cls))
        (bound,) = world.wait_bound()
        stays |= {kept.uuid, bound["metadata"]["uid"]}
        wait_for(lambda: in_journal(ioctx) == (stays, stays), "what is ours and nobody's to go")
        world.control_plane.kubectl("delete", "pv", kept.volume)
        stays.remove(kept.uuid)
        wait_for(lambda: in_journal(ioctx) == (stays, stays), "what no volume needs any more to go")
    finally:
        world.control_plane.kubectl("delete", "pv", kept.volume, "--ignore-not-found")
    world.delete_claims()
    stays.remove(bound["metadata"]["uid"])
    wait_for(lambda: in_journal(ioctx) == (stays, stays), "the entry to go with its image")


def orphan(world: World, name: str, *, marked: bool = True) -> str:
    """An image whose claim is gone, of a provisioner that was killed before the volume was saved.

    `marked`: with the image's own id; without it may be a copy of one that was made by version 0.1.0.
    """
    uid = str(uuid.uuid4())
    image = f"{world.pool}/{name}-{uid}"
    kubernetes = world.control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"]
    world.ceph.rbd("create", image, "--size", "1M")
    world.ceph.rbd("image-meta", "set", image, "sutler.dev/uid", uid)
    world.ceph.rbd("image-meta", "set", image, "sutler.dev/kubernetes", kubernetes)
    if marked:
        identifier = world.image(image.partition("/")[2])["id"]
        world.ceph.rbd("image-meta", "set", image, "sutler.dev/image-id", identifier)
    return image.partition("/")[2]


def test_orphan_that_somebody_needs_keeps_the_others_from_nothing(world: World) -> None:
    needed = orphan(world, "a")
    snapshot = f"{world.pool}/{needed}@keep"
    world.ceph.rbd("snap", "create", snapshot)
    useless = orphan(world, "b")
    world.storage_class()
    wait_for(lambda: useless not in world.images(), "the orphan that nobody needs to go to the trash")
    assert world.images() == [needed]
    assert "it has snapshots: keep" in world.process.log_text()
    world.ceph.rbd("snap", "rm", snapshot)
    wait_for(lambda: not world.images(), "the other to follow")


def test_image_that_may_be_a_copy_is_told_of_and_kept(world: World) -> None:
    perhaps = orphan(world, "backup", marked=False)
    useless = orphan(world, "b")
    world.storage_class()
    wait_for(lambda: useless not in world.images(), "the orphan to go to the trash")
    sample = f'sutler_suspected_orphan_images{{cluster="",pool="{world.pool}"}}'
    wait_for(lambda: world.process.metrics().get(sample) == 1, "the other one to be counted")
    assert world.images() == [perhaps]
    world.ceph.rbd("rm", f"{world.pool}/{perhaps}")
