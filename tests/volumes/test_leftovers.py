"""What a create leaves that was killed half-way, and whose claim is gone then."""

import uuid
from collections.abc import Callable, Iterator

import pytest
import rados

from provisioner.ceph import blank
from provisioner.ceph.model import ImageSpec
from provisioner.volumes.naming import image_id
from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.world import World, claim


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """Told to remove what is provably ours after a second."""
    started = start_volumes("--orphans=trash", "--orphan-grace=1")
    started.start()
    yield started
    started.stop()


def half_made(ceph: Ceph, control_plane: ControlPlane, pool: str) -> str:
    """The name of an image of ours whose header has not been made."""
    kubernetes = control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"]
    name = f"shop-half-{uuid.uuid4()}"
    spec = ImageSpec(name, 1 << 20, id=image_id(kubernetes, name))
    with rados.Rados(conffile=str(ceph.conf)) as cluster, cluster.open_ioctx(pool) as ioctx:
        blank.create(ioctx, spec, name)
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
