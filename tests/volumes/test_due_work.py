"""Which work is due for a volume, by what the informers show. The API server, Ceph and the doers are fakes."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from provisioner.volumes.cache_entries import CachedClaim, CachedClass, CachedVolume
from provisioner.volumes.controller import DueWork, VolumesController, WorkKind
from tests.volumes.objects import UID, parsed

VOLUME = f"pvc-{UID}"
KEY = "shop/data"
CLAIM = CachedClaim(UID, "fast", "", deleting=False, has_node=False, requests_resize=False)
BOUND = replace(CLAIM, volume=VOLUME)
SAVED = CachedVolume(UID, None, "fast", awaits_deletion=False)
REQUEST = CachedVolume("", None, "", awaits_deletion=False, adopting_claim=KEY)
WAITING = replace(parsed(), waits_for_consumer=True)
PROVISION = DueWork(WorkKind.PROVISION, KEY, "fast")
REFUSE = DueWork(WorkKind.REFUSE, KEY, "fast")
CLEAN_UP = DueWork(WorkKind.CLEAN_UP)


def controller(
    *,
    claim: CachedClaim | None = None,
    volumes: dict[str, CachedVolume | None] | None = None,
    cls: CachedClass | None = None,
    pending: bool = False,
    saved: bool = False,
    adopting: bool = False,
) -> VolumesController:
    informers: Any = SimpleNamespace(
        volumes=volumes or {},
        classes={"fast": cls or CachedClass("1", served=True, parsed=parsed())},
        claim_of=lambda volume: (KEY, claim) if claim is not None and volume == VOLUME else None,
        is_awaiting_adoption=lambda key: adopting and key == KEY,
    )
    provisioner: Any = SimpleNamespace(is_pending=lambda _: pending, has_saved=lambda _: saved)
    doer: Any = None
    return VolumesController(
        informers,
        doer,
        doer,
        provisioner=provisioner,
        refuser=doer,
        resizer=doer,
        modifier=doer,
        adopter=doer,
        deleter=doer,
        flattener=doer,
        purger=doer,
        orphan_scanner=doer,
        capacity=doer,
        workers=1,
        settle_seconds=0,
    )


@pytest.mark.parametrize(
    ("case", "known", "due"),
    [
        ("nothing is known", {}, None),
        ("new claim", {"claim": CLAIM}, PROVISION),
        ("new claim, retried", {"claim": CLAIM, "pending": True}, PROVISION),
        ("volume saved, not shown yet", {"claim": CLAIM, "saved": True}, None),
        ("claim with a volume of another name", {"claim": replace(CLAIM, volume="by-hand")}, None),
        ("claim is being deleted", {"claim": replace(CLAIM, deleting=True)}, None),
        ("the same, during an attempt", {"claim": replace(CLAIM, deleting=True), "pending": True}, CLEAN_UP),
        ("claim was deleted during an attempt", {"pending": True}, CLEAN_UP),
        ("an image is to be adopted", {"claim": CLAIM, "adopting": True}, None),
        ("waits for its first Pod", {"claim": CLAIM, "cls": CachedClass("1", served=True, parsed=WAITING)}, None),
        (
            "its first Pod has a node",
            {"claim": replace(CLAIM, has_node=True), "cls": CachedClass("1", served=True, parsed=WAITING)},
            PROVISION,
        ),
        ("invalid class", {"claim": CLAIM, "cls": CachedClass("1", served=True, problem="no pool")}, REFUSE),
        (
            "class became invalid during an attempt",
            {"claim": CLAIM, "cls": CachedClass("1", served=True, problem="no pool"), "pending": True},
            CLEAN_UP,
        ),
        ("class of another provisioner", {"claim": CLAIM, "cls": CachedClass("1", served=False, problem="?")}, None),
        ("bound", {"claim": BOUND, "volumes": {VOLUME: SAVED}}, None),
        (
            "requests more",
            {"claim": replace(BOUND, requests_resize=True), "volumes": {VOLUME: SAVED}},
            DueWork(WorkKind.RESIZE, KEY),
        ),
        (
            "requests other attributes",
            {"claim": replace(BOUND, requests_modify=True), "volumes": {VOLUME: SAVED}},
            DueWork(WorkKind.MODIFY, KEY),
        ),
        (
            "requests other attributes and more",
            {"claim": replace(BOUND, requests_modify=True, requests_resize=True), "volumes": {VOLUME: SAVED}},
            DueWork(WorkKind.MODIFY, KEY),
        ),
        ("volume of another provisioner", {"claim": CLAIM, "volumes": {VOLUME: None}}, None),
        ("released", {"volumes": {VOLUME: replace(SAVED, awaits_deletion=True)}}, DueWork(WorkKind.DELETE)),
        ("request for an adoption", {"volumes": {VOLUME: REQUEST}}, DueWork(WorkKind.ADOPT)),
    ],
)
def test_due_work_follows_from_what_is_known(case: str, known: dict[str, Any], due: DueWork | None) -> None:
    assert controller(**known)._due(VOLUME) == due, case
