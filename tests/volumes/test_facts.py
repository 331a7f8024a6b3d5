"""The inventory of claims, volumes and images, and its rows. Pure: no I/O."""

import shlex
from datetime import UTC, datetime
from typing import Any

import pytest

from sutler.cli.volumes import inventory, orphan_report, show
from sutler.cli.volumes.inventory import VolumeInventory, age, build_inventory, rows
from sutler.cli.volumes.missing_images import OrphanVolume
from sutler.volumes.adoption_request import AdoptionRequest, render
from sutler.volumes.locations import PoolLocation
from tests.volumes.objects import UID, claim, storage_class, volume

IMAGE = f"shop-data-{UID}"
CREATED = "2026-01-01T00:00:00Z"
BOUND = {"phase": "Bound", "capacity": {"storage": "1Gi"}}


def image(name: str, uid: str | None, **more: Any) -> dict[str, Any]:
    owner = uid and {"namespace": "shop", "name": "data", "uid": uid, "volume": f"pvc-{uid}"}
    return {"name": name, "claim": owner, "used": None, "created": CREATED} | more


def known(*volumes: Any, claims: tuple[Any, ...] = (), images: tuple[Any, ...] | None = None) -> VolumeInventory:
    for one in volumes:
        one["metadata"] |= {"creationTimestamp": CREATED}
    found = build_inventory(volumes, claims, [storage_class()], "ours")
    if images is not None:
        found.images = {PoolLocation("", "rbd", ""): list(images)}
    return found


@pytest.mark.parametrize(
    ("changes", "asking", "state"),
    [
        ({"phase": "Bound"}, claim(volumeName=f"pvc-{UID}", status=BOUND), "Bound"),
        ({"phase": "Bound"}, claim(size="2Gi", volumeName=f"pvc-{UID}", status=BOUND), "Growing"),
        ({"phase": "Released"}, None, "Deleting"),
        ({"phase": "Released", "persistentVolumeReclaimPolicy": "Retain"}, None, "Kept"),
        ({"phase": "Bound", "annotations": {"sutler.dev/adopting": "adopt-x"}}, None, "Adopting"),
        ({"phase": "Failed"}, None, "Failed"),
    ],
)
def test_state_says_what_is_going_on(changes: dict[str, Any], asking: Any, state: str) -> None:
    (row,) = rows(known(volume(**changes), claims=(asking,) if asking else ()))
    assert (row.claim, row.state, row.size) == ("shop/data", state, 1 << 30)


def attachment(name: str, node: str, volume_name: str = f"pvc-{UID}") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"nodeName": node, "source": {"persistentVolumeName": volume_name}}}


LEAVING = {"deletionTimestamp": CREATED}


@pytest.mark.parametrize(
    ("changes", "attachments", "says"),
    [
        ({"phase": "Released"}, [attachment("csi-1", "gone-node")], "node gone-node (VolumeAttachment csi-1)"),
        ({"phase": "Released"}, [attachment("csi-1", "n")], "kubectl delete volumeattachment csi-1"),
        ({"phase": "Released"}, [attachment(f"csi-{n}", "n") for n in range(5)], "and 2 more"),
        ({"phase": "Released"}, [attachment("csi-1", "n", "pvc-other")], "the events of the volume"),
        ({"phase": "Released"}, [{"metadata": {"name": "x"}, "spec": {"source": {}}}], "the events of the volume"),
        ({"phase": "Bound", "metadata": {"name": f"pvc-{UID}", "annotations": volume()["metadata"]["annotations"],
                                         "finalizers": ["kubernetes.io/pv-protection"], **LEAVING}},
         [], "it will be deleted with its claim"),
        ({"phase": "Released", "metadata": {"name": f"pvc-{UID}", "annotations": volume()["metadata"]["annotations"],
                                            "finalizers": ["external-attacher/rbd-csi-ceph-com"], **LEAVING}},
         [], "external-attacher/rbd-csi-ceph-com"),
    ],
)  # fmt: skip
def test_volume_being_deleted_says_what_blocks_it(changes: dict[str, Any], attachments: Any, says: str) -> None:
    found = known(volume(**changes))
    found.attachments = attachments
    (row,) = rows(found)
    assert row.state == "Deleting"
    assert says in row.message


def test_claim_that_waits_for_its_pods_says_so() -> None:
    leaving = claim(volumeName=f"pvc-{UID}", status=BOUND, metadata=LEAVING)
    (row,) = rows(known(volume(phase="Bound"), claims=(leaving,)))
    assert (row.state, row.message) == ("Bound", "its claim will be deleted when no Pod uses it any more")


def test_image_is_missing_only_if_its_pool_was_read() -> None:
    bound = volume(phase="Bound")
    assert [row.state for row in rows(known(bound))] == ["Bound"]
    assert [row.state for row in rows(known(bound, images=()))] == ["NoImage"]
    (row,) = rows(known(bound, images=(image(IMAGE, UID, used=4096),)))
    assert (row.state, row.used) == ("Bound", 4096)


def test_request_belongs_to_its_claim_until_it_is_complete() -> None:
    request = render(AdoptionRequest(namespace="shop", claim="data", storage_class="fast", image="rbd/disk"))
    request["metadata"]["annotations"]["sutler.dev/adoption"] = "Waiting: it is in use"
    (row,) = rows(known(request, claims=(claim(),)))
    assert (row.claim, row.state, row.message) == ("shop/data", "Adopting", "Waiting: it is in use")
    assert row.place is not None
    assert row.place.path == "rbd/disk"


def test_claims_of_others_are_left_out() -> None:
    theirs = volume(annotations={"pv.kubernetes.io/provisioned-by": "another"})
    assert rows(known(theirs, claims=(claim(storageClassName="slow"), claim(volumeName="pv-of-theirs")))) == []


def orphans(
    before: VolumeInventory, after: VolumeInventory, metadata: dict[str, str] | None = None
) -> list[OrphanVolume]:
    mine = {"sutler.dev/kubernetes": "ours"}
    return orphan_report.find_orphans(before, after, lambda *_: {"metadata": mine | (metadata or {})}, lambda _: [])


def test_image_without_claim_and_volume_is_an_orphan() -> None:
    lonely = known(images=(image("disk", "gone"), image("unowned", None)))
    assert [one.name for one in orphans(lonely, known())] == ["rbd/disk"]
    assert orphans(lonely, known(), {"sutler.dev/kubernetes": "another"}) == []
    (unfinished,) = orphans(lonely, known(), {"sutler.dev/adopting": "adopt-x"})
    assert unfinished.why == "its adoption was not completed"


def test_image_that_is_being_made_or_was_made_meanwhile_is_none() -> None:
    before = known(images=(image(IMAGE, UID),))
    assert orphans(before, known(claims=(claim(),))) == []
    assert orphans(before, known(volume(phase="Bound"))) == []
    # A volume created after the images were listed may have an image.
    assert orphans(known(images=()), known(volume(phase="Bound"))) == []


def test_volume_without_its_image_is_an_orphan_unless_it_is_leaving() -> None:
    def amiss(one: Any) -> list[str]:
        return [found.kind for found in orphans(known(one, images=()), known(one))]

    assert amiss(volume(phase="Bound")) == ["volume"]
    assert amiss(volume(phase="Released")) == []


def test_commands_quote_names_of_images() -> None:
    name = "x; rm -rf $(HOME)"
    (found,) = orphans(known(images=(image(name, "gone"),)), known())
    assert shlex.split(found.fixes[0])[3] == f"rbd/{name}"


@pytest.mark.parametrize(
    ("created", "text"),
    [("2026-01-03T00:00:00Z", "0s"), ("2026-01-02T23:58:30Z", "90s"), ("2026-01-02T22:00:00Z", "2h"), (CREATED, "2d")],
)
def test_age_is_in_the_largest_unit_of_which_there_are_two(created: str, text: str) -> None:
    assert age(created, datetime(2026, 1, 3, tzinfo=UTC)) == text
    assert inventory.age("?", datetime(2026, 1, 3, tzinfo=UTC)) == "-"


EARLIER = "11111111-8c1d-4a2b-9a63-0d2f8d9f1c11"


@pytest.mark.parametrize(
    ("volumes", "claims", "known_uids"),
    [
        ([volume(phase="Bound")], [claim(volumeName=f"pvc-{UID}", status=BOUND)], {UID, "volume-uid"}),
        # The claim that has come since under the same name is another one.
        ([volume()], [claim(metadata={"uid": EARLIER})], {UID, "volume-uid"}),
        ([], [claim()], {UID}),
        ([render(AdoptionRequest(namespace="shop", claim="data", storage_class="fast", image="rbd/a"))], [claim()],
         {UID, "request-uid"}),
    ],
)  # fmt: skip
def test_events_of_an_earlier_claim_of_the_same_name_are_left_out(
    volumes: list[Any], claims: list[Any], known_uids: set[str]
) -> None:
    for one in volumes:
        one["metadata"].setdefault("uid", "request-uid")
    found = known(*volumes, claims=tuple(claims))
    row = next(row for row in rows(found) if row.volume or not volumes)
    assert show.uids(row, found) == known_uids
    said = [{"involvedObject": {"uid": uid}} for uid in (UID, EARLIER)] + [{"involvedObject": {"name": "data"}}]
    assert show.events_of(said, known_uids) == [said[0], said[2]]
    assert show.events_of(said, set()) == said
