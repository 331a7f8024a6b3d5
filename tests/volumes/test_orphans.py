"""The orphans that `sutler volumes orphans` finds, and that no advice may lose data. Pure: no I/O."""

from typing import Any

import pytest

from sutler.cli.volumes import orphan_report
from sutler.cli.volumes.missing_images import OrphanVolume
from sutler.volumes.identity import image_id
from sutler.volumes.locations import PoolLocation
from tests.volumes.objects import UID, volume
from tests.volumes.test_facts import IMAGE, image, known

RBD, SSD = PoolLocation("", "rbd", ""), PoolLocation("", "ssd", "")
IDS = {"sutler.dev/pool-id": "2", "sutler.dev/image-id": "a1"}
ITSELF = {"sutler.dev/kubernetes": "ours"} | IDS


def found(
    *volumes: Any,
    images: dict[PoolLocation, list[Any]] | None = None,
    metadata: dict[str, str] | None = None,
    details: dict[str, Any] | None = None,
    trash: list[Any] | None = None,
    failures: dict[str, str] | None = None,
) -> list[OrphanVolume]:
    facts = known(*volumes)
    facts.images = images if images is not None else {RBD: []}
    facts.pools = {2: "rbd", 3: "ssd"}
    facts.served = frozenset({""})
    said = (ITSELF if metadata is None else metadata) | {"sutler.dev/uid": UID}
    later = known(*volumes)
    return orphan_report.find_orphans(
        facts, later, lambda *_: {"metadata": said} | (details or {}), lambda _: trash or [], failures or {}
    )


def deletes(orphans: list[OrphanVolume]) -> bool:
    return any(word in fix for one in orphans for fix in one.fixes for word in ("images delete", "delete pv"))


def bound(**more: Any) -> Any:
    return volume(phase="Bound", annotations=IDS, **more)


def test_image_that_is_proven_to_be_unneeded_may_be_deleted() -> None:
    (one,) = found(images={RBD: [image(IMAGE, UID, id="a1")]})
    assert (one.kind, one.why) == ("image", "neither its claim nor a volume exists")
    assert deletes([one])


@pytest.mark.parametrize(
    ("case", "listed", "metadata", "details", "kind", "why"),
    [
        (
            "a copy",
            {"id": "b2"},
            ITSELF,
            {},
            "copy",
            "a copy, clone or migration of its claim's image, which does not exist",
        ),
        ("perhaps a copy", {"id": "b2"}, {"sutler.dev/kubernetes": "ours"}, {}, "image", "it may be a copy"),
        ("in use", {}, ITSELF, {"watchers": ["10.0.0.1:0/1"]}, "image", "it is in use at 10.0.0.1:0/1"),
        (
            "cloned",
            {},
            ITSELF,
            {"snapshots": [{"name": "s", "children": ["rbd/c"]}]},
            "image",
            "depend on it, such as rbd/c",
        ),
        (
            "with a snapshot",
            {},
            ITSELF,
            {"snapshots": [{"name": "s", "children": []}]},
            "image",
            "snapshots, such as s",
        ),
        ("migrating", {"features": ["layering", "migrating"]}, ITSELF, {}, "image", "it is being migrated"),
    ],
)
def test_image_that_may_be_needed_is_named_as_what_it_is(
    case: str, listed: Any, metadata: Any, details: Any, kind: str, why: str
) -> None:
    (one,) = found(images={RBD: [image(IMAGE, UID, **{"id": "a1"} | listed)]}, metadata=metadata, details=details)
    assert (one.kind, why in one.why, deletes([one])) == (kind, True, False), case


def test_image_used_by_a_foreign_volume_gets_no_advice_to_delete() -> None:
    theirs = {
        "metadata": {"name": "by-hand", "uid": "u"},
        "spec": {"csi": {"driver": "rbd.csi.ceph.com", "volumeHandle": IMAGE, "volumeAttributes": {"pool": "rbd"}}},
    }
    (one,) = found(theirs, images={RBD: [image(IMAGE, UID, id="a1")]})
    assert (one.why, one.fixes) == ("PersistentVolume by-hand, which is not Sutler's, uses it", ())


@pytest.mark.parametrize("made", [bound(), volume(phase="Bound")], ids=["ids known", "by version 0.1.0"])
def test_renamed_image_gets_its_name_back(made: Any) -> None:
    identifier = "a1" if "sutler.dev/image-id" in made["metadata"]["annotations"] else image_id("ours", IMAGE)
    (one,) = found(made, images={RBD: [image("renamed", UID, id=identifier)]})
    assert one.kind == "volume"
    assert "was renamed to renamed, so nodes do not find it" in one.why
    assert one.fixes == (f"sutler images rename rbd/renamed {IMAGE} --force",)


def test_image_in_a_renamed_pool_is_found_by_the_pools_number() -> None:
    elsewhere = volume(phase="Bound", annotations={"sutler.dev/pool-id": "3", "sutler.dev/image-id": "a1"})
    (one,) = found(elsewhere, images={RBD: [], SSD: [image(IMAGE, UID, id="a1")]})
    assert one.fixes == ("ceph osd pool rename ssd rbd",)


def test_volume_bound_again_has_its_image_still() -> None:
    again = bound(claimRef={"namespace": "shop", "name": "new", "uid": "another"})
    assert found(again, images={RBD: [image(IMAGE, UID, id="a1")]}) == []


def test_migrated_image_is_the_volumes_and_a_copy_beside_it_is_a_copy() -> None:
    assert found(bound(), images={RBD: [image(IMAGE, UID, id="new")]}) == []
    (one,) = found(bound(), images={RBD: [image(IMAGE, UID, id="a1"), image("backup", UID, id="b2")]})
    assert (one.kind, one.why) == ("copy", f"a copy of rbd/{IMAGE}, which volume pvc-{UID} uses")
    assert one.fixes == ()


def test_missing_image_may_be_what_names_the_claim() -> None:
    one, two = sorted(found(bound(), images={RBD: [image("backup", UID, id="b2")]}), key=lambda orphan: orphan.kind)
    assert "has no image" in one.why
    assert "rbd/backup is the same image renamed, or a copy" in two.why
    assert not deletes([one, two])
    assert two.fixes == ()


@pytest.mark.parametrize(
    ("entry", "why", "fix"),
    [
        ({"name": IMAGE, "source": "USER"}, "is in the trash", "sutler images trash restore rbd a1"),
        (
            {"name": "renamed", "source": "USER"},
            "is in the trash",
            f"sutler images trash restore rbd a1 --name {IMAGE}",
        ),
        ({"name": IMAGE, "source": "MIGRATION"}, "is being migrated", None),
    ],
)
def test_image_in_the_trash_is_known_by_its_id(entry: dict[str, str], why: str, fix: str | None) -> None:
    (one,) = found(bound(), trash=[{"id": "b2", "name": IMAGE}, {"id": "a1"} | entry])
    assert why in one.why
    assert one.fixes[:1] == ((fix,) if fix else ())


def test_volume_may_be_deleted_only_when_its_image_is_proven_to_be_gone() -> None:
    (one,) = found(bound())
    assert (one.why, one.fixes) == (f"its image rbd/{IMAGE} does not exist", ("kubectl -n shop delete pvc data",))
    (one,) = found(volume(phase="Bound"))
    assert one.fixes == ()
    (one,) = found(volume(phase="Bound", annotations={"sutler.dev/pool-id": "9", "sutler.dev/image-id": "a1"}))
    assert one.why == "its pool rbd, id 9, does not exist"


def test_volume_that_can_not_be_deleted_is_named_with_the_reason() -> None:
    (one,) = found(volume(annotations=IDS), failures={f"pvc-{UID}": "it has snapshots: a"})
    assert one.why == "it cannot be deleted: it has snapshots: a"
    assert found(volume(annotations=IDS)) == []


def test_one_cluster_of_two_names_has_each_image_once() -> None:
    named = volume(phase="Bound", annotations=IDS | {"sutler.dev/cluster-id": "fsid"})
    facts, later = known(named), known(named)
    facts.served, facts.pools = frozenset({"", "fsid"}), {2: "rbd"}
    facts.images = {RBD: [image(IMAGE, UID, id="a1")]}
    assert facts.locations() == {RBD}
    assert orphan_report.find_orphans(facts, later, lambda *_: None, lambda _: []) == []
