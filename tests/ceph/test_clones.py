"""Snapshots, clones and parked images on a real Ceph: by ids, repeatable, and without a trace of an interruption."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import rbd

from provisioner.ceph import clone_intents, clones, directory, images, parking, removal, volume_snapshots
from provisioner.ceph.clone_intents import CloneIntent
from provisioner.ceph.clones import CloneOrigin
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse, InvalidArgument
from provisioner.ceph.image_header import CloneParent
from provisioner.ceph.model import ImageQuery, ImageSpec
from sutler.volumes.identity import id_metadata

MIB = 1 << 20
KUBERNETES = "k8s-uid"
OWNER, CHILD = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000"
PATTERN = b"first".ljust(4096, b".")


def fence() -> None:
    pass


@pytest.fixture
def connection(settings: ClusterSettings) -> Iterator[Connection]:
    made = Connection(settings)
    yield made
    made.close()


@pytest.fixture
def ioctx(connection: Connection, pool: str) -> Any:
    return connection.ioctx(pool)


def owned(ioctx: Any, name: str, owner: str) -> str:
    """An image as Sutler makes it for a claim, with a pattern in it; its id."""
    rbd.RBD().create(ioctx, name, 8 * MIB, old_format=False, features=1)
    with rbd.Image(ioctx, name) as image:
        image.write(PATTERN, 0)
        keys = {"sutler.dev/uid": owner, "sutler.dev/kubernetes": KUBERNETES, "csi.storage.k8s.io/pvc/name": "data"}
        for key, value in (keys | id_metadata(ioctx.get_pool_id(), image.id()) | {"team": "blue"}).items():
            image.metadata_set(key, value)
        return str(image.id())


def spec(name: str = f"clone-{CHILD}", size: int = 8 * MIB, owner: str = CHILD, **more: Any) -> ImageSpec:
    keys = {"sutler.dev/uid": owner, "sutler.dev/kubernetes": KUBERNETES}
    return ImageSpec(name, size, metadata=keys, **more)


def metadata(ioctx: Any, name: str) -> dict[str, str]:
    with rbd.Image(ioctx, name, read_only=True) as image:
        return dict(image.metadata_list())


def content(ioctx: Any, name: str, length: int = 4096) -> bytes:
    with rbd.Image(ioctx, name, read_only=True) as image:
        return bytes(image.read(0, length))


def write(ioctx: Any, name: str, data: bytes) -> None:
    with rbd.Image(ioctx, name) as image:
        image.write(data.ljust(4096, b"!"), 0)


def names(ioctx: Any) -> list[str]:
    return sorted(rbd.RBD().list(ioctx))


def kinds(ioctx: Any, name: str) -> list[tuple[str, int]]:
    with rbd.Image(ioctx, name, read_only=True) as image:
        return [(one["name"], one["namespace"]) for one in image.list_snaps()]


def query(name: str, owner: str, identifier: str) -> ImageQuery:
    return ImageQuery(name, owner, KUBERNETES, identifier)


def test_snapshot_is_created_once_and_deleted_by_its_id(ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    first = volume_snapshots.create(ioctx, identifier, "sutler-a", fence)
    rbd.RBD().rename(ioctx, "data", "renamed")
    assert volume_snapshots.create(ioctx, identifier, "sutler-a", fence) == first
    assert first.size == 8 * MIB
    assert volume_snapshots.find(ioctx, identifier, first.id) == first
    volume_snapshots.delete(ioctx, identifier, first.id, fence)
    volume_snapshots.delete(ioctx, identifier, first.id, fence)
    assert volume_snapshots.find(ioctx, identifier, first.id) is None
    assert kinds(ioctx, "renamed") == []
    volume_snapshots.delete(ioctx, "gone", 3, fence)


def test_no_snapshot_of_an_image_in_the_trash_or_with_too_many(ioctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    identifier = owned(ioctx, "data", OWNER)
    kept = volume_snapshots.create(ioctx, identifier, "one", fence)
    monkeypatch.setattr(volume_snapshots, "MOST_SNAPSHOTS", 1)
    with pytest.raises(InvalidArgument, match="delete some of them"):
        volume_snapshots.create(ioctx, identifier, "two", fence)
    assert volume_snapshots.create(ioctx, identifier, "one", fence) == kept
    rbd.RBD().trash_move(ioctx, "data", 0)
    with pytest.raises(ImageMissing, match="in the trash"):
        volume_snapshots.create(ioctx, identifier, "one", fence)
    # What an administrator has moved there does not keep its snapshots from being deleted.
    volume_snapshots.delete(ioctx, identifier, kept.id, fence)
    rbd.RBD().trash_remove(ioctx, identifier)


def test_protected_snapshot_is_kept(ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    found = volume_snapshots.create(ioctx, identifier, "one", fence)
    with rbd.Image(ioctx, "data") as image:
        image.protect_snap("one")
        with pytest.raises(InUse, match="rbd snap unprotect"):
            volume_snapshots.delete(ioctx, identifier, found.id, fence)
        image.unprotect_snap("one")


def test_restored_image_has_the_data_of_its_snapshot_its_own_metadata_and_its_size(
    connection: Connection, ioctx: Any
) -> None:
    identifier = owned(ioctx, "data", OWNER)
    snapshot = volume_snapshots.create(ioctx, identifier, "sutler-a", fence)
    write(ioctx, "data", b"second")
    origin = CloneOrigin(ioctx.get_pool_id(), "", identifier, snapshot.id)
    wanted = spec(size=12 * MIB)
    made = clones.create(connection, ioctx, wanted, origin, fence=fence)
    assert made.ancestors == (CloneParent(ioctx.get_pool_id(), "", identifier, snapshot.id),)
    assert clones.create(connection, ioctx, wanted, origin, fence=fence) == made
    assert content(ioctx, wanted.name) == PATTERN
    assert content(ioctx, "data").startswith(b"second")
    assert metadata(ioctx, wanted.name) == {
        **wanted.metadata, **id_metadata(ioctx.get_pool_id(), made.id), "team": "blue"
    }  # fmt: skip
    with rbd.Image(ioctx, wanted.name, read_only=True) as image:
        assert image.size() == 12 * MIB
        assert not any(image.read(8 * MIB, 4 * MIB))
    assert clone_intents.list_all(ioctx) == {}


def test_clone_of_an_image_leaves_no_snapshot_when_it_is_gone(connection: Connection, ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    made = clones.create(connection, ioctx, spec(), CloneOrigin(ioctx.get_pool_id(), "", identifier), fence=fence)
    write(ioctx, "data", b"second")
    assert content(ioctx, spec().name) == PATTERN
    # Deleted already, and kept by Ceph for the clone alone.
    assert [kind for _, kind in kinds(ioctx, "data")] == [2]
    with pytest.raises(InUse, match="clones depend on it"):
        removal.find_removable(ioctx, query("data", OWNER, identifier))
    removal.remove(connection, ioctx, query(spec().name, CHILD, made.id), fence)
    assert kinds(ioctx, "data") == []
    removal.remove(connection, ioctx, query("data", OWNER, identifier), fence)
    assert names(ioctx) == []


class Killed(BaseException):
    """The process ends here."""


STEPS = [
    (clone_intents, "record"), (volume_snapshots, "create"), (clones._LIBRBD, "clone"), (clones, "replace_metadata"),
    (images, "resize"), (volume_snapshots, "delete"), (clone_intents, "remove"),
]  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("end", ["repeated", "discarded"])
def test_clone_that_was_interrupted_is_finished_or_leaves_nothing(
    end: str, module: Any, step: str, moment: str, connection: Connection, ioctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = owned(ioctx, "data", OWNER)
    origin = CloneOrigin(ioctx.get_pool_id(), "", identifier)
    wanted = spec(size=12 * MIB)
    call = getattr(module, step)

    def killed(*args: Any, **kwargs: Any) -> None:
        if moment == "after":
            call(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        if module is clones._LIBRBD:
            patch.setattr(clones, "_LIBRBD", type("Dying", (), {step: staticmethod(killed)}))
        else:
            patch.setattr(module, step, killed)
        with pytest.raises(Killed):
            clones.create(connection, ioctx, wanted, origin, fence=fence)
    if end == "repeated":
        made = clones.create(connection, ioctx, wanted, origin, fence=fence)
        assert content(ioctx, wanted.name) == PATTERN
        assert metadata(ioctx, wanted.name)["sutler.dev/image-id"] == made.id
        assert names(ioctx) == [wanted.name, "data"]
    else:
        assert clones.discard(connection, ioctx, wanted.name, CHILD, KUBERNETES, fence=fence)
        with contextlib.suppress(rbd.ImageNotFound):
            assert metadata(ioctx, wanted.name)["sutler.dev/uid"] == CHILD
            removal.remove(connection, ioctx, query(wanted.name, CHILD, ""), fence)
        assert names(ioctx) == ["data"]
        assert kinds(ioctx, "data") == []
    assert clone_intents.list_all(ioctx) == {}
    assert [name for name, kind in kinds(ioctx, "data") if kind == 0] == []


def test_image_that_had_the_name_before_is_kept(connection: Connection, ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    owned(ioctx, spec().name, "another")
    with pytest.raises(ImageTaken, match="is no clone for this claim"):
        clones.create(connection, ioctx, spec(), CloneOrigin(ioctx.get_pool_id(), "", identifier), fence=fence)
    assert clones.discard(connection, ioctx, spec().name, CHILD, KUBERNETES, fence=fence)
    assert names(ioctx) == [spec().name, "data"]
    assert kinds(ioctx, "data") == []


def clone_of_source(ioctx: Any) -> None:
    rbd.RBD().clone(ioctx, "data", "one", ioctx, spec().name)


def clone_of_another_image(ioctx: Any) -> None:
    owned(ioctx, "other", "another")
    with rbd.Image(ioctx, "other") as image:
        image.create_snap("one")
    rbd.RBD().clone(ioctx, "other", "one", ioctx, spec().name)


def image_with_data(ioctx: Any) -> None:
    rbd.RBD().create(ioctx, spec().name, 8 * MIB)
    with rbd.Image(ioctx, spec().name) as image:
        image.write(b"x", 5 * MIB)


@pytest.mark.parametrize(
    ("made_by_another", "is_kept"),
    [
        (clone_of_source, False),
        (lambda ioctx: rbd.RBD().create(ioctx, spec().name, 8 * MIB), False),
        (clone_of_another_image, True),
        (image_with_data, True),
        (lambda ioctx: owned(ioctx, spec().name, "another"), True),
    ],
    ids=["clone of the source", "without parent, owner and data", "clone of another image", "data", "owned"],
)
def test_image_that_took_the_name_while_a_clone_was_incomplete_is_kept(
    made_by_another: Any, is_kept: bool, connection: Connection, ioctx: Any
) -> None:
    connection.rados.conf_set("rbd_default_clone_format", "2")
    identifier = owned(ioctx, "data", OWNER)
    snapshot = volume_snapshots.create(ioctx, identifier, "one", fence)
    origin = CloneOrigin(ioctx.get_pool_id(), "", identifier, snapshot.id)
    wanted = spec()
    clone_intents.record(ioctx, wanted.name, CloneIntent(CHILD, KUBERNETES, *origin.key, "team/restored"))
    made_by_another(ioctx)
    before = directory.get_header(ioctx, wanted.name).id
    if is_kept:
        with pytest.raises(ImageTaken, match="rename or delete it"):
            clones.create(connection, ioctx, wanted, origin, fence=fence)
    assert clones.discard(connection, ioctx, wanted.name, CHILD, KUBERNETES, fence=fence)
    assert clone_intents.list_all(ioctx) == {}
    if is_kept:
        assert directory.get_header(ioctx, wanted.name).id == before
    else:
        assert wanted.name not in names(ioctx)


@pytest.mark.parametrize(
    ("says", "change"),
    [
        ("request 8388608 or more", lambda one: replace(one, size=MIB)),
        ("feature layering", lambda one: replace(one, features=("exclusive-lock",))),
        ("objectSize 4194304 or more", lambda one: replace(one, object_size=4096)),
    ],
    ids=["too small", "no layering", "smaller objects"],
)
def test_unfit_clone_is_refused_and_leaves_nothing(says: str, change: Any, connection: Connection, ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    with pytest.raises(InvalidArgument, match=says):
        clones.create(connection, ioctx, change(spec()), CloneOrigin(ioctx.get_pool_id(), "", identifier), fence=fence)
    assert (names(ioctx), kinds(ioctx, "data"), clone_intents.list_all(ioctx)) == (["data"], [], {})


def test_chain_of_clones_is_counted_and_bounded(connection: Connection, ioctx: Any) -> None:
    source = owned(ioctx, "data", OWNER)
    for depth in range(3):
        owner = f"{'abc'[depth]}{CHILD[1:]}"
        origin = CloneOrigin(ioctx.get_pool_id(), "", source, most_ancestors=2)
        made = clones.create(connection, ioctx, spec(f"clone-{owner}", owner=owner), origin, fence=fence)
        assert len(made.ancestors) == depth + 1
        source = made.id
    assert content(ioctx, f"clone-c{CHILD[1:]}") == PATTERN
    with pytest.raises(InvalidArgument, match="3 ancestors"):
        clones.create(
            connection, ioctx, spec(), CloneOrigin(ioctx.get_pool_id(), "", source, most_ancestors=2), fence=fence
        )
    assert clone_intents.list_all(ioctx) == {}


def test_clone_into_another_pool_and_namespace(connection: Connection, ioctx: Any) -> None:
    rbd.RBD().namespace_create(ioctx, "tenant")
    tenant = connection.ioctx(ioctx.get_pool_name(), "tenant")
    identifier = owned(tenant, "data", OWNER)
    made = clones.create(connection, ioctx, spec(), CloneOrigin(ioctx.get_pool_id(), "tenant", identifier), fence=fence)
    assert content(ioctx, spec().name) == PATTERN
    assert made.ancestors[0].namespace == "tenant"
    removal.remove(connection, ioctx, query(spec().name, CHILD, made.id), fence)
    removal.remove(connection, tenant, query("data", OWNER, identifier), fence)
    rbd.RBD().namespace_remove(ioctx, "tenant")


@pytest.mark.parametrize("delay", [None, 3600])
def test_parked_image_goes_after_its_last_dependant(delay: int | None, connection: Connection, ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    sought = query("data", OWNER, identifier)
    assert not parking.park(ioctx, sought, delay, fence)
    snapshot = volume_snapshots.create(ioctx, identifier, "sutler-a", fence)
    origin = CloneOrigin(ioctx.get_pool_id(), "", identifier, snapshot.id)
    made = clones.create(connection, ioctx, spec(), origin, fence=fence)
    assert parking.find_parked(ioctx, identifier) is None
    assert parking.park(ioctx, sought, delay, fence)
    assert parking.park(ioctx, sought, delay, fence)
    volume_snapshots.delete(ioctx, identifier, snapshot.id, fence)
    found = parking.find_parked(ioctx, identifier)
    assert found is not None
    assert (found.snapshots, found.children, found.is_free) == ((), (f"{ioctx.get_pool_name()}/{spec().name}",), False)
    with pytest.raises(InUse):
        parking.remove_parked(connection, ioctx, identifier, KUBERNETES, fence)
    assert content(ioctx, spec().name) == PATTERN
    removal.remove(connection, ioctx, query(spec().name, CHILD, made.id), fence)
    found = parking.find_parked(ioctx, identifier)
    assert found is not None
    assert found.is_free
    parking.remove_parked(connection, ioctx, identifier, KUBERNETES, fence)
    assert names(ioctx) == []
    assert [entry.id for entry in removal.list_trash(ioctx)] == ([] if delay is None else [identifier])


@pytest.mark.parametrize("way", ["copied", "adopted", "cloned"])
def test_mark_of_a_parked_image_is_about_no_other(way: str, connection: Connection, ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    snapshot = volume_snapshots.create(ioctx, identifier, "one", fence)
    assert parking.park(ioctx, query("data", OWNER, identifier), None, fence)
    if way == "copied":
        with rbd.Image(ioctx, "data", read_only=True) as image:
            image.copy(ioctx, "backup")
    elif way == "cloned":
        connection.rados.conf_set("rbd_default_clone_format", "2")
        rbd.RBD().clone(ioctx, "data", "one", ioctx, "backup", features=1)
    else:
        with rbd.Image(ioctx, "data") as image:
            image.metadata_set("sutler.dev/uid", CHILD)
    name = "data" if way == "adopted" else "backup"
    assert metadata(ioctx, name)["sutler.dev/parked"].startswith(identifier)
    other = directory.get_header(ioctx, name).id
    assert parking.find_parked(ioctx, other) is None
    volume_snapshots.delete(ioctx, identifier, snapshot.id, fence)
    with pytest.raises(ImageTaken, match="not parked"):
        parking.remove_parked(connection, ioctx, other, KUBERNETES, fence)
    assert name in names(ioctx)


def test_image_in_use_is_not_parked(ioctx: Any) -> None:
    identifier = owned(ioctx, "data", OWNER)
    volume_snapshots.create(ioctx, identifier, "one", fence)
    with rbd.Image(ioctx, "data") as opened:
        opened.write(b"x", 0)
        with pytest.raises(CephError, match="in use"):
            parking.park(ioctx, query("data", OWNER, identifier), None, fence)
