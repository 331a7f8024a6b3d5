"""What a pool holds, in words, without any pool."""

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
def test_object_is_called_by_what_made_it(key: str, kind: str) -> None:
    assert object_kind(key) == kind


@pytest.mark.parametrize("key", ["rbd_id.disk", "rbd_data.1.0", "rbd_directory2", "csi.volume.1", "", "x"])
def test_only_what_is_known_can_be_empty_bookkeeping(key: str) -> None:
    assert allowed_keys(key) is None


def test_nothing_found_is_no_proof_while_something_was_not_seen() -> None:
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
def test_cost_is_never_said_to_be_less_than_was_seen(seen: int, total: int | None, said: str) -> None:
    full = PoolContents("p", dependencies=["x"], listed=seen, total=total, stored=None if total is None else 5000)
    assert said in full.refusal()


def test_images_in_the_trash_are_not_told_of_twice() -> None:
    full = PoolContents("p", trashed=1)
    for key in "rbd_trash", "rbd_header.10ab", "other":
        full.add_object("", key)
    assert "headers" not in full.summary()
    assert "trash: 1" in full.summary()
    assert "'rbd_trash'" not in full.summary()
    assert "objects of other applications: 1, such as 'other'" in full.summary()
