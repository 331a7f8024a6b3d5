"""What remains of an interrupted create whose claim was deleted then."""

import uuid
from collections.abc import Callable, Iterator

import pytest
import rados

from provisioner.ceph import csi_journal, fast_create
from provisioner.ceph.model import ImageSpec, JournalEntry
from sutler.volumes.identity import image_id
from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.volume_env import VolumeEnv, claim


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """Removes what is proven to be Sutler's after a second."""
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


def test_possible_orphans_are_reported_and_only_names_without_an_image_are_removed(env: VolumeEnv) -> None:
    half = half_made(env.ceph, env.control_plane, env.pool)
    # An image that librbd created before the process was killed; names of other provisioners; and a common name.
    nameless = f"shop-data-{uuid.uuid4()}"
    for name in (nameless, f"kubernetes-dynamic-pvc-{uuid.uuid4()}", f"csi-vol-{uuid.uuid4()}", "backup"):
        env.ceph.rbd("create", f"{env.pool}/{name}", "--size", "1M")
    assert half in env.images()
    cls = env.storage_class()
    env.apply(claim("data", cls))
    env.wait_bound()
    wait_for(lambda: half not in env.images(), "the name without an image to go")
    sample = f'sutler_suspected_orphan_images{{cluster="",pool="{env.pool}"}}'
    wait_for(lambda: env.process.metrics().get(sample) == 1, "the image without an owner to be counted")
    assert nameless in env.process.log_text()
    assert len(env.images()) == 5
    for name in env.images():
        if "half" not in name and f"{env.namespace}-data" not in name:
            env.ceph.rbd("rm", f"{env.pool}/{name}")
    wait_for(lambda: env.process.metrics().get(sample) == 0, "it to be forgotten")


@pytest.fixture
def ioctx(env: VolumeEnv) -> Iterator[rados.Ioctx]:
    with rados.Rados(conffile=str(env.ceph.conf)) as cluster, cluster.open_ioctx(env.pool) as ioctx:
        yield ioctx


def lost() -> JournalEntry:
    """A volume in ceph-csi's journal whose claim is gone."""
    uid = str(uuid.uuid4())
    return JournalEntry(uid, f"pvc-{uid}", "shop")


def in_journal(ioctx: rados.Ioctx) -> tuple[set[str], set[str]]:
    """The UUIDs that keys lead to, and those of objects."""
    keys = {entry.uuid for entry, _ in csi_journal.list_entries(ioctx, lambda _: True)}
    objects = {found.key.removeprefix("csi.volume.") for found in ioctx.list_objects()}
    return keys, {uid for uid in objects if uid.count("-") == 4 and not uid.startswith("rbd")}


def test_entries_of_the_journal_without_an_image_go_and_what_is_not_provably_ours_stays(
    env: VolumeEnv, ioctx: rados.Ioctx
) -> None:
    ours, anothers, dangling, kept, whole = lost(), lost(), lost(), lost(), lost()
    # A volume that needs it, of whomever.
    env.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": kept.volume},
            "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/none"}},
        }
    )
    csis = JournalEntry(str(uuid.uuid4()), f"pvc-{uuid.uuid4()}", "shop")
    unowned = JournalEntry(str(uuid.uuid4()), f"pvc-{uuid.uuid4()}", "shop")
    spec = ImageSpec(whole.image, 1 << 20, id=identifier(env.control_plane, whole.image))
    fast_create.create(ioctx, spec, whole.image)
    for entry in (ours, dangling, kept, whole, csis):
        csi_journal.reserve(ioctx, entry, identifier(env.control_plane, entry.image))
    csi_journal.reserve(ioctx, unowned, None)
    csi_journal.reserve(ioctx, anothers, image_id("another cluster", anothers.image))
    ioctx.remove_object(f"csi.volume.{dangling.uuid}")
    stays = {entry.uuid for entry in (anothers, whole, csis, unowned)}
    try:
        cls = env.storage_class({"journal": "ceph-csi", "clusterID": "b"})
        env.apply(claim("data", cls))
        (bound,) = env.wait_bound()
        stays |= {kept.uuid, bound["metadata"]["uid"]}
        wait_for(lambda: in_journal(ioctx) == (stays, stays), "Sutler's entries without an owner to be deleted")
        env.control_plane.kubectl("delete", "pv", kept.volume)
        stays.remove(kept.uuid)
        wait_for(lambda: in_journal(ioctx) == (stays, stays), "what no volume needs any more to go")
    finally:
        env.control_plane.kubectl("delete", "pv", kept.volume, "--ignore-not-found")
    env.delete_claims()
    stays.remove(bound["metadata"]["uid"])
    wait_for(lambda: in_journal(ioctx) == (stays, stays), "the entry to go with its image")


def orphan(env: VolumeEnv, name: str, *, marked: bool = True) -> str:
    """An image whose claim is gone, of a provisioner that was killed before the volume was saved.

    `marked`: with the image's own id; without it may be a copy of one that was made by version 0.1.0.
    """
    uid = str(uuid.uuid4())
    image = f"{env.pool}/{name}-{uid}"
    kubernetes = env.control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"]
    env.ceph.rbd("create", image, "--size", "1M")
    env.ceph.rbd("image-meta", "set", image, "sutler.dev/uid", uid)
    env.ceph.rbd("image-meta", "set", image, "sutler.dev/kubernetes", kubernetes)
    if marked:
        identifier = env.image(image.partition("/")[2])["id"]
        env.ceph.rbd("image-meta", "set", image, "sutler.dev/image-id", identifier)
    return image.partition("/")[2]


def test_orphan_in_use_does_not_delay_the_others(env: VolumeEnv) -> None:
    needed = orphan(env, "a")
    snapshot = f"{env.pool}/{needed}@keep"
    env.ceph.rbd("snap", "create", snapshot)
    useless = orphan(env, "b")
    env.storage_class()
    wait_for(lambda: useless not in env.images(), "the orphan that is not in use to be in the trash")
    assert env.images() == [needed]
    assert "it has snapshots: keep" in env.process.log_text()
    env.ceph.rbd("snap", "rm", snapshot)
    wait_for(lambda: not env.images(), "the other to follow")


def test_image_that_may_be_a_copy_is_reported_and_kept(env: VolumeEnv) -> None:
    perhaps = orphan(env, "backup", marked=False)
    useless = orphan(env, "b")
    env.storage_class()
    wait_for(lambda: useless not in env.images(), "the orphan to go to the trash")
    sample = f'sutler_suspected_orphan_images{{cluster="",pool="{env.pool}"}}'
    wait_for(lambda: env.process.metrics().get(sample) == 1, "the other one to be counted")
    assert env.images() == [perhaps]
    env.ceph.rbd("rm", f"{env.pool}/{perhaps}")
