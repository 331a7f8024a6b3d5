"""By what a volume knows its image, and an image says whose it is: pure."""

from typing import Any

import pytest

from provisioner.volumes import cache_entries
from sutler.volumes.identity import Relation, has_own_ids, image_id, relation
from sutler.volumes.locations import ImageLocation, ids_of, owner_of, source_agrees
from sutler.volumes.volume_name import owner_uid
from tests.volumes.objects import UID, volume

OURS, NAME = {"sutler.dev/uid": UID, "sutler.dev/kubernetes": "ours"}, f"shop-data-{UID}"


@pytest.mark.parametrize(
    ("said", "name", "identifier", "whose"),
    [
        ({}, NAME, "a1", Relation.UNOWNED),
        ({"sutler.dev/uid": UID}, NAME, "a1", Relation.FOREIGN),
        (OURS | {"sutler.dev/kubernetes": "theirs"}, NAME, "a1", Relation.FOREIGN),
        (OURS | {"sutler.dev/image-id": "a1", "sutler.dev/pool-id": "2"}, "renamed", "a1", Relation.PROVEN),
        (OURS | {"sutler.dev/image-id": "a1"}, "renamed", "a1", Relation.PROVEN),
        (OURS | {"sutler.dev/image-id": "a1", "sutler.dev/pool-id": "2"}, NAME, "b2", Relation.COPY),
        # rados cppool copies the ids, too.
        (OURS | {"sutler.dev/image-id": "a1", "sutler.dev/pool-id": "1"}, NAME, "a1", Relation.COPY),
        (OURS, NAME, image_id("ours", NAME), Relation.PROVEN),
        (OURS, "renamed", image_id("ours", NAME), Relation.LIKELY),
        (OURS, NAME, "a1", Relation.LIKELY),
    ],
)
def test_copy_is_distinguished_from_the_image_by_its_ids(
    said: dict[str, str], name: str, identifier: str, whose: Relation
) -> None:
    assert relation(said, pool=2, image=identifier, name=name, kubernetes="ours") is whose


def test_image_that_says_nothing_of_its_ids_neither_is_itself_nor_is_not() -> None:
    assert has_own_ids({}, 2, "a1") is None


@pytest.mark.parametrize(
    ("name", "owner"),
    [(f"pvc-{UID}", UID), ("pvc-data", ""), (UID, ""), (f"pvc-{UID}-copy", ""), (f"velero-pvc-{UID}", "")],
)
def test_owner_is_in_the_volumes_name(name: str, owner: str) -> None:
    assert owner_uid(name) == owner
    again = volume(metadata={"name": name}, claimRef={"namespace": "shop", "name": "other", "uid": "another"})
    assert owner_of(again) == (owner or "another")


HANDLE = f"0001-0006-ceph-1-000000000000001a-{UID}"


@pytest.mark.parametrize(
    ("annotations", "handle", "ids"),
    [
        ({}, NAME, (None, "")),
        ({}, HANDLE, (26, "")),
        ({"sutler.dev/pool-id": "7", "sutler.dev/image-id": "a1"}, HANDLE, (7, "a1")),
        ({"sutler.dev/pool-id": "x", "sutler.dev/image-id": "a1"}, NAME, (None, "a1")),
        ({"sutler.dev/pool-id": "²"}, NAME, (None, "")),
    ],
)
def test_ids_are_read_from_the_volume(annotations: dict[str, str], handle: str, ids: tuple[int | None, str]) -> None:
    assert ids_of(volume(annotations=annotations, csi={"volumeHandle": handle})) == ids


@pytest.mark.parametrize(
    ("source", "agrees"),
    [
        ({}, True),
        ({"csi": {"volumeHandle": "a", "volumeAttributes": {"pool": "rbd", "staticVolume": "true"}}}, True),
        ({"csi": {"volumeHandle": "copy", "volumeAttributes": {"pool": "rbd", "staticVolume": "true"}}}, False),
        ({"csi": {"volumeHandle": "a", "volumeAttributes": {"pool": "ssd", "staticVolume": "true"}}}, False),
        ({"csi": {"volumeHandle": HANDLE, "volumeAttributes": {"pool": "rbd", "imageName": "copy"}}}, False),
        ({"rbd": {"pool": "rbd", "image": "a"}}, True),
        ({"rbd": {"pool": "rbd", "image": "copy"}}, False),
    ],
)
def test_volume_that_was_copied_by_hand_for_another_image_does_not_agree(source: dict[str, Any], agrees: bool) -> None:
    assert source_agrees(volume(**source), ImageLocation("", "rbd", "", "a")) is agrees


def test_cache_entry_names_the_present_claim() -> None:
    again = volume(phase="Bound", claimRef={"namespace": "shop", "name": "new", "uid": "another"})
    cached = cache_entries.volume_entry(again)
    assert cached is not None
    assert (cached.owner, cached.rebound_claim) == (UID, ("shop", "new"))
    first = cache_entries.volume_entry(volume(phase="Bound"))
    assert first is not None
    assert first.rebound_claim is None
