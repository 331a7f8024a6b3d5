"""The texts about the contents of a pool, without Ceph."""

import pytest

from provisioner.ceph.pool_contents import PoolContents, allowed_keys, object_kind


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("rbd_data.3.10ab.0000000000000000", "objects with data of RBD images"),
        ("rb.0.1234.6b8b4567.000000000000", "objects with data of RBD images of format 1"),
        ("disk.rbd", "headers of RBD images of format 1"),
        ("rbd_id.disk", "headers of RBD images"),
        ("journal_data.1.10ab.0", "journals of RBD images"),
        ("rbd_group_header.10ab", "groups of images"),
        ("csi.snap.0", "entries of ceph-csi's journal"),
        ("10000000000.00000000", "objects of CephFS"),
        ("default.4123.1_photo.jpg", "objects of other applications"),
        ("rbd_directory_backup", "objects of other applications"),
        ("notes", "objects of other applications"),
    ],
)
def test_kind_of_an_object_follows_from_its_name(key: str, kind: str) -> None:
    assert object_kind(key) == kind


@pytest.mark.parametrize("key", ["rbd_id.disk", "rbd_data.1.0", "rbd_directory2", "csi.volume.1", "", "x"])
def test_only_what_is_known_can_be_empty_bookkeeping(key: str) -> None:
    assert allowed_keys(key) is None


def test_unverified_pool_is_not_proven_empty() -> None:
    assert PoolContents("p").proven_empty
    unseen = PoolContents("p", unverified=["its objects: refused"])
    assert (unseen.found, unseen.proven_empty) == (False, False)
    assert "remove the cause" in unseen.refusal()


@pytest.mark.parametrize(
    ("seen", "total", "said"),
    [
        (3, None, "3 objects were listed, and Ceph's statistics do not count all of them yet"),
        (3, 1, "3 objects were listed"),
        (3, 900, "Ceph's statistics: 900 objects with 5000 bytes"),
    ],
)
def test_size_is_never_less_than_what_was_listed(seen: int, total: int | None, said: str) -> None:
    full = PoolContents("p", dependencies=["x"], listed=seen, total=total, stored=None if total is None else 5000)
    assert said in full.refusal()


def test_images_in_the_trash_are_counted_once() -> None:
    full = PoolContents("p", trashed=1)
    for key in "rbd_trash", "rbd_header.10ab", "other":
        full.add_object("", key)
    assert "headers" not in full.summary()
    assert "trash: 1" in full.summary()
    assert "'rbd_trash'" not in full.summary()
    assert "objects of other applications: 1, such as 'other'" in full.summary()
