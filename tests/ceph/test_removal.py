"""Images with dependents are kept unchanged and the dependents are named; complete images are never marked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rados
import rbd

from provisioner.ceph import (
    directory,
    editing,
    images,
    pool_survey,
    removal,
    snapshots,
    trash,
    trash_entry,
    trash_purge,
)
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.editing import Guard
from provisioner.ceph.errors import CephError, Denied, InUse, Unreadable
from provisioner.ceph.interrupted import InterruptedWork, explain, read_progress, write_mark
from provisioner.ceph.removal_progress import Cancelled, RemovalBegun, ignore_progress
from sutler import well_known
from tests.cluster import Ceph

MIB = 1 << 20
LARGE = 1 << 50
"""268 million objects, which take days to be asked for."""


@pytest.fixture
def connection(settings: ClusterSettings) -> Iterator[Connection]:
    made = Connection(settings)
    yield made
    made.close()


@pytest.fixture
def clones_of_today(ceph: Ceph) -> Iterator[None]:
    """Clones whose parents' snapshots need no protection; other tests want the cluster as it was made."""
    before = ceph.ceph("osd", "get-require-min-compat-client").strip()
    ceph.ceph("osd", "set-require-min-compat-client", "mimic")
    yield
    ceph.ceph("osd", "set-require-min-compat-client", before)


@pytest.fixture
def ioctx(connection: Connection, pool: str) -> Any:
    return connection.ioctx(pool)


def make(ioctx: Any, name: str, size: int = 8 * MIB, features: int = 1) -> None:
    rbd.RBD().create(ioctx, name, size, old_format=False, features=features)


def grouped(ceph: Ceph, ioctx: Any) -> None:
    ceph.rbd("group", "create", f"{ioctx.get_pool_name()}/trio")
    ceph.rbd("group", "image", "add", f"{ioctx.get_pool_name()}/trio", f"{ioctx.get_pool_name()}/image")


def snapped_by_its_group(ceph: Ceph, ioctx: Any) -> None:
    grouped(ceph, ioctx)
    ceph.rbd("group", "snap", "create", f"{ioctx.get_pool_name()}/trio@monday")
    ceph.rbd("group", "image", "rm", f"{ioctx.get_pool_name()}/trio", f"{ioctx.get_pool_name()}/image")


def migrating(_: Ceph, ioctx: Any) -> None:
    rbd.RBD().migration_prepare(ioctx, "image", ioctx, "image", features=1)


def demoted(ceph: Ceph, ioctx: Any) -> None:
    pool = ioctx.get_pool_name()
    ceph.rbd("mirror", "pool", "enable", pool, "image")
    ceph.rbd("mirror", "image", "enable", f"{pool}/image", "snapshot")
    ceph.rbd("mirror", "image", "demote", f"{pool}/image")


def protected(_: Ceph, ioctx: Any) -> None:
    with rbd.Image(ioctx, "image") as image:
        image.create_snap("monday")
        image.protect_snap("monday")


def cloned_from_a_deleted_snapshot(ceph: Ceph, ioctx: Any) -> None:
    with rbd.Image(ioctx, "image") as image:
        image.create_snap("monday")
    path = f"{ioctx.get_pool_name()}/image@monday"
    ceph.rbd("clone", "--rbd-default-clone-format", "2", path, f"{ioctx.get_pool_name()}/child")
    ceph.rbd("snap", "rm", path)


TIED: list[tuple[Callable[[Ceph, Any], None], str]] = [
    (
        grouped,
        r"is a member of group \S+/trio; remove it from the group first \(rbd group image rm \S+/trio \S+/image\)",
    ),
    (snapped_by_its_group, r"snapshots of a group: \S+/trio@monday; .*\(rbd group snap rm \S+/trio@monday\)"),
    (migrating, r"is being migrated; .*rbd migration abort \S+/image\)"),
    (demoted, r"mirrored and not primary: .*rbd mirror image promote --force \S+/image"),
    (protected, r"it has snapshots: monday; delete them first \(rbd snap rm after rbd snap unprotect\)"),
    (cloned_from_a_deleted_snapshot, r"clones depend on it: \S+/child; flatten or delete them first"),
]


@pytest.mark.usefixtures("clones_of_today")
@pytest.mark.parametrize(("tie", "says"), TIED, ids=[tie.__name__ for tie, _ in TIED])
def test_image_with_dependents_is_unchanged_and_they_are_named(
    connection: Connection, ioctx: Any, ceph: Ceph, tie: Callable[[Ceph, Any], None], says: str
) -> None:
    make(ioctx, "image", features=5)
    tie(ceph, ioctx)
    found = directory.get_header(ioctx, "image")
    for refused in (
        lambda: editing.check_removable(connection, ioctx, "image", Guard()),
        # Tied right after it was looked at: librbd refuses.
        lambda: editing.remove(connection, ioctx, "image", found, ignore_progress, operation="op"),
        lambda: trash.move_to_trash(ioctx, "image", Guard(), 0),
    ):
        with pytest.raises(InUse, match=says):
            refused()
        now = directory.get_header(ioctx, "image")
        assert (now.id, explain(now), well_known.UNFINISHED in now.metadata) == (found.id, None, False)
        assert [entry.id for entry in trash_entry.iterate(ioctx) if entry.id == found.id] == []


def test_rejected_shrink_and_rollback_leave_no_mark(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    make(ioctx, "image", features=5)
    found = directory.get_header(ioctx, "image")
    demoted(ceph, ioctx)
    with pytest.raises(InUse, match="not primary"):
        editing.check_shrinkable(connection, ioctx, "image", MIB, Guard())
    with pytest.raises(CephError, match="read-only"):
        editing.shrink(ioctx, "image", directory.get_header(ioctx, "image"), MIB, ignore_progress, operation="op")
    assert well_known.UNFINISHED not in directory.get_header(ioctx, "image").metadata
    # A mark that was true before the refusal stays.
    write_mark(ioctx, found.id, InterruptedWork.SHRINK, "earlier")
    with pytest.raises(CephError, match="read-only"):
        editing.shrink(ioctx, "image", directory.get_header(ioctx, "image"), MIB, ignore_progress, operation="op")
    assert directory.get_header(ioctx, "image").metadata[well_known.UNFINISHED] == f"shrink earlier {found.id}"


def test_watched_image_is_kept_by_volumes_and_by_the_trash(
    connection: Connection, ioctx: Any, settings: ClusterSettings, pool: str
) -> None:
    make(ioctx, "image", features=5)
    found = directory.get_header(ioctx, "image")
    other = Connection(settings)
    with rbd.Image(other.ioctx(pool), "image"):
        with pytest.raises(InUse, match=r"in use at \S+; unmap it there first"):
            editing.remove(connection, ioctx, "image", found, ignore_progress, operation="op")
        with pytest.raises(InUse, match="in use at"):
            trash.move_to_trash(ioctx, "image", Guard(), 0)
    other.close()
    assert well_known.UNFINISHED not in directory.get_header(ioctx, "image").metadata


def move_member_to_trash(ioctx: Any, identifier: str) -> None:
    """As librbd does before Ceph 20, which refuses it: the image does not know its group for that moment."""
    header, key = f"rbd_header.{identifier}", "rbd_group_ref"
    with rados.ReadOpCtx() as reading:
        kept, _ = ioctx.get_omap_vals_by_keys(reading, (key,))
        ioctx.operate_read_op(reading, header)
        group = dict(kept)[key]
    with rados.WriteOpCtx() as writing:
        ioctx.remove_omap_keys(writing, (key,))
        ioctx.operate_write_op(writing, header)
    rbd.RBD().trash_move(ioctx, "image", 0)
    with rados.WriteOpCtx() as writing:
        ioctx.set_omap(writing, (key,), (group,))
        ioctx.operate_write_op(writing, header)


def test_member_of_a_group_in_the_trash_is_not_marked_by_a_purge(
    connection: Connection, ioctx: Any, ceph: Ceph
) -> None:
    make(ioctx, "image")
    grouped(ceph, ioctx)
    found = directory.get_header(ioctx, "image")
    move_member_to_trash(ioctx, found.id)
    entry = trash.get_entry(ioctx, found.id)
    with pytest.raises(InUse, match=f"--image-pool {ioctx.get_pool_name()} --image-id {found.id}"):
        trash.purge(connection, ioctx, entry, ignore_progress, "op")
    entry = trash.get_entry(ioctx, found.id)
    assert (entry.unfinished, entry.removing) == (None, False)
    assert trash.restore(ioctx, found.id, None) == "image"
    now = directory.get_header(ioctx, "image")
    assert (now.id, well_known.UNFINISHED in now.metadata) == (found.id, False)


def test_pool_that_moves_removed_images_to_the_trash_keeps_them_complete(connection: Connection, ioctx: Any) -> None:
    rbd.RBD().config_set(ioctx, "rbd_move_to_trash_on_remove", "true")
    for name, size in (("small", 8 * MIB), ("large", LARGE)):
        make(ioctx, name, size)
        found = directory.get_header(ioctx, name)
        editing.remove(connection, ioctx, name, found, ignore_progress, operation="op")
        entry = trash.get_entry(ioctx, found.id)
        assert (entry.source, entry.unfinished) == ("USER", None)
        assert trash.restore(ioctx, found.id, None) == name


@pytest.mark.parametrize("data", [False, True])
def test_user_who_may_not_delete_data_is_refused_before_anything_is_lost(
    ioctx: Any, ceph: Ceph, settings: ClusterSettings, data: bool
) -> None:
    pool = ioctx.get_pool_name()
    other = ceph.pool(f"{pool}-data")
    rbd.RBD().create(ioctx, "image", 8 * MIB, old_format=False, features=1, data_pool=other)
    caps = f"allow r pool={pool}, allow class-read pool={pool}, allow r pool={other}"
    if data:
        caps = f"allow rwx pool={pool}, allow r pool={other}"
    user = f"client.reader-{pool}"
    key = ceph.ceph("auth", "get-or-create-key", user, "mon", "profile rbd", "osd", caps).strip()
    limited = Connection(
        ClusterSettings(conf=settings.conf, user=user.removeprefix("client."), key=key, timeout=3, connect_timeout=3)
    )
    place = limited.ioctx(pool)
    with pytest.raises(Denied, match=r"check .* caps"):
        editing.check_removable(limited, place, "image", Guard())
    limited.close()
    assert well_known.UNFINISHED not in directory.get_header(ioctx, "image").metadata
    ceph.remove_pool(other)


def test_huge_image_is_removed_quickly_and_nothing_else(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    pool = ioctx.get_pool_name()
    other = ceph.pool(f"{pool}-data")
    rbd.RBD().namespace_create(ioctx, "tenant")
    for namespace, data_pool in (("", None), ("tenant", None), ("", other), ("tenant", other)):
        place = connection.ioctx(pool, namespace)
        for name in ("huge", "kept"):
            rbd.RBD().create(place, name, LARGE, old_format=False, features=1, data_pool=data_pool)
            with rbd.Image(place, name) as image:
                for offset in (0, MIB, LARGE // 2, LARGE - 1):
                    image.write(name[:1].encode(), offset)
        editing.remove(connection, place, "huge", directory.get_header(place, "huge"), ignore_progress, operation="op")
        assert rbd.RBD().list(place) == ["kept"]
        assert list(trash_entry.iterate(place)) == []
        with rbd.Image(place, "kept") as image:
            assert [image.read(offset, 1) for offset in (0, MIB, LARGE // 2, LARGE - 1)] == [b"k"] * 4
            prefix = image.block_name_prefix()
        data = connection.data_objects(place, directory.get_header(place, "kept").data_pool)
        assert data is not None
        assert {found.key.rpartition(".")[0] for found in data.iterate() if "rbd_data" in found.key} == {prefix}
        editing.remove(connection, place, "kept", directory.get_header(place, "kept"), ignore_progress, operation="op")
    ceph.remove_pool(other)


@pytest.mark.usefixtures("clones_of_today")
def test_removed_huge_clone_is_detached_from_its_parent(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    make(ioctx, "parent", LARGE)
    pool = ioctx.get_pool_name()
    ceph.rbd("snap", "create", f"{pool}/parent@first")
    ceph.rbd("clone", "--rbd-default-clone-format", "2", f"{pool}/parent@first", f"{pool}/child")
    ceph.rbd("snap", "rm", f"{pool}/parent@first")
    editing.remove(connection, ioctx, "child", directory.get_header(ioctx, "child"), ignore_progress, operation="op")
    with rbd.Image(ioctx, "parent") as image:
        assert list(image.list_snaps()) == []


@pytest.mark.parametrize("features", [1, 13], ids=["listed", "by object map"])
def test_stopped_removal_is_marked_not_restorable_and_continues(
    connection: Connection, ioctx: Any, features: int
) -> None:
    make(ioctx, "image", 1 << 38 if features == 1 else 1 << 33, features)
    with rbd.Image(ioctx, "image") as image:
        for number in range(1200):
            image.write(b"x", number << 22)
    found = directory.get_header(ioctx, "image")
    stop: list[float] = []

    def progress(share: float) -> None:
        if stop and share > 0:
            raise Cancelled("enough")
        stop.append(share)

    with pytest.raises(Cancelled, match="was stopped before it was complete: enough"):
        editing.remove(connection, ioctx, "image", found, progress, operation="op")
    (entry,) = [entry for entry in trash.list_entries(ioctx, "", 10) if entry.id == found.id]
    assert entry.header is not None
    assert "some of its data is lost" in (entry.unfinished or "")
    assert entry.header.metadata[well_known.UNFINISHED] == f"remove op {found.id}"
    assert read_progress(entry.header, 0.0) is not None
    for restore in (
        lambda: trash.restore(ioctx, found.id, None),
        lambda: rbd.RBD().trash_restore(ioctx, found.id, "image"),
    ):
        with pytest.raises((InUse, rbd.Error)):
            restore()
    trash.purge(connection, ioctx, entry, ignore_progress, "again")
    assert list(trash_entry.iterate(ioctx)) == []


def test_first_call_of_progress_comes_before_the_second_object_and_finds_the_image_marked(
    connection: Connection, ioctx: Any
) -> None:
    """The mark is there when anybody hears of progress."""
    make(ioctx, "image", 64 * MIB)
    found = directory.get_header(ioctx, "image")
    seen: list[str | None] = []

    def progress(_: float) -> None:
        if not seen:
            header = directory.find_header(ioctx, found.id)
            seen.append(header.metadata.get(well_known.UNFINISHED) if header else None)

    editing.remove(connection, ioctx, "image", found, progress, operation="op")
    assert seen == [f"remove op {found.id}"]


@pytest.mark.parametrize("size", [8 * MIB, LARGE], ids=["small", "large"])
def test_image_that_changed_since_the_check_is_not_changed(connection: Connection, ioctx: Any, size: int) -> None:
    """Long work waits for its turn, for hours perhaps."""
    make(ioctx, "image", size)
    found = editing.check_removable(connection, ioctx, "image", Guard())
    assert found is not None
    works: tuple[Callable[[], None], ...] = (
        lambda: editing.remove(connection, ioctx, "image", found, ignore_progress, operation="op"),
        lambda: editing.shrink(ioctx, "image", found, MIB, ignore_progress, operation="op"),
        lambda: snapshots.rollback(ioctx, "image", found, "monday", "op"),
    )
    with rbd.Image(ioctx, "image") as image:
        image.create_snap("monday")
    for work in works:
        with pytest.raises(editing.ImageChanged, match="has changed since"):
            work()
    rbd.RBD().rename(ioctx, "image", "elsewhere")
    make(ioctx, "image", size)
    for work in works:
        with pytest.raises(editing.ImageChanged, match="has changed since"):
            work()
    assert sorted(rbd.RBD().list(ioctx)) == ["elsewhere", "image"]
    assert list(trash_entry.iterate(ioctx)) == []
    # A name without an image, that has got one since.
    with pytest.raises(editing.ImageChanged):
        editing.remove(connection, ioctx, "image", None, ignore_progress, operation="op")


def test_large_image_in_use_since_the_check_is_restored_complete(
    connection: Connection, ioctx: Any, settings: ClusterSettings
) -> None:
    make(ioctx, "image", LARGE)
    found = editing.check_removable(connection, ioctx, "image", Guard())
    other = Connection(settings)
    with rbd.Image(other.ioctx(ioctx.get_pool_name()), "image") as image:
        image.write(b"x", 0)
        with pytest.raises(InUse, match="image is kept: it is in use at"):
            editing.remove(connection, ioctx, "image", found, ignore_progress, operation="op")
        assert image.read(0, 1) == b"x"
    other.close()
    now = directory.get_header(ioctx, "image")
    assert (now.size, explain(now)) == (LARGE, None)


def test_source_of_a_migration_in_the_trash_is_listed_and_kept(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    make(ioctx, "image")
    found = directory.get_header(ioctx, "image")
    migrating(ceph, ioctx)
    assert removal.list_trash(ioctx) == []
    with pytest.raises(InUse, match="is being migrated"):
        trash.check_purgeable(connection, ioctx, found.id, force=True)


def test_primary_mirrored_image_is_removed_with_its_snapshots(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    make(ioctx, "image")
    pool = ioctx.get_pool_name()
    ceph.rbd("mirror", "pool", "enable", pool, "image")
    ceph.rbd("mirror", "image", "enable", f"{pool}/image", "snapshot")
    found = editing.check_removable(connection, ioctx, "image", Guard())
    editing.remove(connection, ioctx, "image", found, ignore_progress, operation="op")
    assert rbd.RBD().list(ioctx) == []


def test_removal_in_a_pool_over_its_quota_works(connection: Connection, ioctx: Any, ceph: Ceph) -> None:
    make(ioctx, "image", 64 * MIB)
    found = directory.get_header(ioctx, "image")
    ceph.ceph("osd", "pool", "set-quota", ioctx.get_pool_name(), "max_objects", "1")
    editing.remove(connection, ioctx, "image", found, ignore_progress, operation="op")
    assert rbd.RBD().list(ioctx) == []
    assert list(trash_entry.iterate(ioctx)) == []


def test_image_left_in_the_trash_by_a_rejection_is_restored(ioctx: Any) -> None:
    """It moves back, by itself, after some of its refusals only."""
    make(ioctx, "image")
    found = directory.get_header(ioctx, "image")
    begun = RemovalBegun(ioctx, found.id, "op", ignore_progress)
    rbd.RBD().trash_move(ioctx, "image", 0)
    with pytest.raises(CephError, match="no reason"), trash_purge.undone_if_refused(ioctx, found, "image", begun):
        raise CephError("no reason")
    assert directory.get_header(ioctx, "image").id == found.id


def test_name_that_is_not_utf_8_is_reported_and_large_images_are_removed_beside_it(
    connection: Connection, ioctx: Any, ceph: Ceph
) -> None:
    pool = ioctx.get_pool_name()
    make(ioctx, "image", 1 << 36)
    image = directory.get_header(ioctx, "image")
    ceph.rbd("create", f"{pool}/\udcff", "--size", "1M")  # the byte 255
    with pytest.raises(Unreadable, match="not UTF-8"):
        list(connection.object_listing(pool).iterate())
    for listing in (directory.list_names, images.list_images):
        with pytest.raises(Unreadable, match="not UTF-8"):
            listing(ioctx)
    found = pool_survey.survey(connection, pool, seconds=10)
    assert (found.proven_empty, "not UTF-8" in found.summary()) == (False, True)
    editing.remove(connection, ioctx, "image", image, ignore_progress, operation="op")
    assert not directory.has_header(ioctx, image.id)
