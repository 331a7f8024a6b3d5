"""Decides whether to delete the image of a PersistentVolume. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.ceph.model import JournalEntry
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from provisioner.volumes.planning.trash_delay import parse_trash_delay
from sutler import well_known
from sutler.typedefs import Json
from sutler.volumes.locations import (
    ImageLocation,
    ids_of,
    is_sutler_volume,
    location_of,
    owner_of,
    source_agrees,
    uses_image,
)
from sutler.volumes.snapshot_handle import ImageHandle, parse_image_handle
from sutler.volumes.volume_name import volume_name


@dataclass(frozen=True, slots=True)
class BoundClaim:
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteImage:
    image: VolumeRequest
    trash_delay: int | None
    """Seconds for which the image can be restored from the trash; None: remove the image without the trash."""
    entry: JournalEntry | None = None
    """The image's entry in ceph-csi's journal, if it has one."""
    rebound_claim: BoundClaim | None = None
    """The claim that the volume was bound to last, if it was provisioned for another. It must not exist any more."""
    ancestors: tuple[ImageHandle, ...] = ()
    """The images that the volume's image is a clone of, the parent first."""


@dataclass(frozen=True, slots=True)
class ReleaseVolume:
    """Remove the finalizer only: the image is kept."""


@dataclass(frozen=True, slots=True)
class KeepVolume:
    """Nothing is to be done, or not yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class VolumeAttached(KeepVolume):
    """The volume is to be deleted once no node has it attached."""


@dataclass(frozen=True, slots=True)
class ImageUnclear:
    """The volume is to be deleted, and it does not say clearly which image or how."""

    message: str
    """The problem, and what to do."""


Decision = DeleteImage | ReleaseVolume | KeepVolume | ImageUnclear


def has_other_image(volume: Json, location: ImageLocation) -> bool:
    """Whether the volume, of any provisioner, certainly has another image than the one of this location."""
    if is_sutler_volume(volume) and location_of(volume) is None:
        return False
    sources = [value for key, value in volume["spec"].items() if key != "claimRef"]
    return not uses_image(volume, location) and location.image not in str(sources)


def decide(volume: Json, *, attached: bool) -> Decision:  # noqa: PLR0911 - a decision table, row by row
    """`attached`: whether a VolumeAttachment refers to the volume."""
    metadata, spec = volume["metadata"], volume["spec"]
    if not is_sutler_volume(volume):
        return KeepVolume("it is not Sutler's")
    has_finalizer = well_known.FINALIZER in (metadata.get("finalizers") or [])
    deleting = bool(metadata.get("deletionTimestamp"))
    if deleting and not has_finalizer:
        return KeepVolume("Sutler has finished its deletion")
    if spec.get("persistentVolumeReclaimPolicy") != "Delete":
        return ReleaseVolume() if deleting else KeepVolume("its reclaim policy is not Delete")
    if (volume.get("status") or {}).get("phase") != "Released":
        return KeepVolume("it is not Released")
    if attached:
        return VolumeAttached("it is attached to a node")
    location = location_of(volume)
    reference = spec.get("claimRef") or {}
    if location is None or not reference.get("uid"):
        return ImageUnclear(
            f"the volume lacks annotation {well_known.IMAGE} (pool/image) or its claimRef: "
            "restore it, or set the reclaim policy to Retain and remove the image manually"
        )
    if not source_agrees(volume, location):
        return ImageUnclear(
            f"the volume's annotation {well_known.IMAGE} names {location.path}, and nodes use another image for it: "
            "correct the annotation, or set the reclaim policy to Retain and remove the image manually"
        )
    owner = owner_of(volume)
    annotations = metadata["annotations"]
    try:
        delay = parse_trash_delay(annotations)
    except ValueError as error:
        return ImageUnclear(f"annotation {error}; until then Sutler keeps the volume and its image")
    entry = None
    if annotations.get(well_known.JOURNAL) == "ceph-csi":
        entry = JournalEntry(owner, volume_name(owner), reference.get("namespace", ""))
    # The phase may still be Released after a tool has bound the volume to another claim.
    claim = BoundClaim(reference.get("namespace", ""), reference.get("name", ""), reference["uid"])
    return DeleteImage(
        VolumeRequest(location, owner, *ids_of(volume)),
        delay,
        entry,
        claim if claim.uid != owner else None,
        parse_ancestors(annotations),
    )


def parse_ancestors(annotations: Mapping[str, str]) -> tuple[ImageHandle, ...]:
    """Returns the images that a volume's annotations name as the ancestors of its image."""
    handles = map(parse_image_handle, annotations.get(well_known.ANCESTORS, "").split())
    return tuple(handle for handle in handles if handle is not None)


def finalizer_removal(volume: Json) -> list[Json]:
    """Returns a JSON Patch that removes Sutler's finalizer, and fails if the list of finalizers has changed."""
    index = volume["metadata"]["finalizers"].index(well_known.FINALIZER)
    path = f"/metadata/finalizers/{index}"
    return [{"op": "test", "path": path, "value": well_known.FINALIZER}, {"op": "remove", "path": path}]
