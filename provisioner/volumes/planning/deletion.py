"""Whether a PersistentVolume's image is to go: pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.ceph.model import JournalEntry
from provisioner.volumes.planning.parameter_values import duration
from provisioner.volumes.planning.persistent_volume import (
    ImageLocation,
    VolumeRequest,
    ids_of,
    owner_of,
    place_of,
    source_agrees,
)
from provisioner.volumes.planning.storage_class import DEFAULT_DELAY, DELETION_POLICIES
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.locations import uses

_DIGITS = 18
"""Of a delay: librbd takes 64 bits."""


@dataclass(frozen=True, slots=True)
class BoundClaim:
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteImage:
    image: VolumeRequest
    trash_delay: int | None
    """None: remove at once."""
    entry: JournalEntry | None = None
    """In ceph-csi's journal."""
    bound_again: BoundClaim | None = None
    """Not the claim that it was made for, and to be gone for sure."""


@dataclass(frozen=True, slots=True)
class ReleaseVolume:
    """Only the finalizer goes: the image stays."""


@dataclass(frozen=True, slots=True)
class KeepVolume:
    reason: str


@dataclass(frozen=True, slots=True)
class VolumeAttached(KeepVolume):
    """To be deleted once no node has it any more."""


@dataclass(frozen=True, slots=True)
class ImageUnclear:
    """To be deleted, but the volume does not say what; `message` tells what to do."""

    message: str


Decision = DeleteImage | ReleaseVolume | KeepVolume | ImageUnclear


def is_ours(volume: Json) -> bool:
    annotations = volume["metadata"].get("annotations") or {}
    return bool(annotations.get(well_known.PROVISIONED_BY) == well_known.PROVISIONER)


def has_another(volume: Json, place: ImageLocation) -> bool:
    """Whether the volume, of whichever provisioner, surely has another image than the one there."""
    if is_ours(volume) and place_of(volume) is None:
        return False
    sources = [value for key, value in volume["spec"].items() if key != "claimRef"]
    return not uses(volume, place) and place.image not in str(sources)


def decide(volume: Json, *, attached: bool) -> Decision:  # noqa: PLR0911 - a decision table, row by row
    """`attached`: a VolumeAttachment refers to it."""
    metadata, spec = volume["metadata"], volume["spec"]
    if not is_ours(volume):
        return KeepVolume("it is not ours")
    held = well_known.FINALIZER in (metadata.get("finalizers") or [])
    leaving = bool(metadata.get("deletionTimestamp"))
    if leaving and not held:
        return KeepVolume("it is on its way already")
    if spec.get("persistentVolumeReclaimPolicy") != "Delete":
        return ReleaseVolume() if leaving else KeepVolume("its reclaim policy is not Delete")
    if (volume.get("status") or {}).get("phase") != "Released":
        return KeepVolume("it is not Released")
    if attached:
        return VolumeAttached("it is attached to a node")
    place = place_of(volume)
    reference = spec.get("claimRef") or {}
    if place is None or not reference.get("uid"):
        return ImageUnclear(
            f"the volume has lost its annotation {well_known.IMAGE} (pool/image) or its claimRef: "
            "restore it, or set the reclaim policy to Retain and remove the image by hand"
        )
    if not source_agrees(volume, place):
        return ImageUnclear(
            f"the volume's annotation {well_known.IMAGE} names {place.path}, and nodes use another image for it: "
            "correct the annotation, or set the reclaim policy to Retain and remove the image by hand"
        )
    owner = owner_of(volume)
    annotations = metadata["annotations"]
    try:
        delay = _trash_delay(annotations)
    except ValueError as error:
        return ImageUnclear(f"annotation {error}; until then the volume stays, and its image")
    entry = None
    if annotations.get(well_known.JOURNAL) == "ceph-csi":
        entry = JournalEntry(owner, well_known.volume_name(owner), reference.get("namespace", ""))
    # Released is what it was before a tool has bound it to another claim, too.
    claim = BoundClaim(reference.get("namespace", ""), reference.get("name", ""), reference["uid"])
    return DeleteImage(
        VolumeRequest(place, owner, *ids_of(volume)), delay, entry, claim if claim.uid != owner else None
    )


def _trash_delay(annotations: Mapping[str, str]) -> int | None:
    """None: remove at once. Raises ValueError for what people have written there and is not understood."""
    policy = annotations.get(well_known.DELETION_POLICY, "remove")
    if policy not in DELETION_POLICIES:
        raise ValueError(
            f"{well_known.DELETION_POLICY}: {policy!r} is not one of {', '.join(DELETION_POLICIES)}: write one"
        )
    if policy == "remove":
        return None
    text = annotations.get(well_known.TRASH_DELAY, str(DEFAULT_DELAY))
    # More digits than people may write come from the days of a class.
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
        return int(text)
    try:
        return duration(text)
    except ValueError as error:
        raise ValueError(f"{well_known.TRASH_DELAY}: {error}") from None


def without_finalizer(volume: Json) -> list[Json]:
    """JSON Patch that takes our finalizer off, and fails if it is not where it was."""
    place = volume["metadata"]["finalizers"].index(well_known.FINALIZER)
    path = f"/metadata/finalizers/{place}"
    return [{"op": "test", "path": path, "value": well_known.FINALIZER}, {"op": "remove", "path": path}]
