"""Whether a PersistentVolume's image is to go: pure."""

from dataclasses import dataclass

from provisioner.ceph.model import Entry
from provisioner.volumes import names
from provisioner.volumes.parameters import DEFAULT_DELAY
from provisioner.volumes.volume import Wanted, ids_of, owner_of, place_of, source_agrees
from sutler.kube.resources import Json


@dataclass(frozen=True, slots=True)
class Claim:
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Delete:
    image: Wanted
    trash_delay: int | None
    """None: remove at once."""
    entry: Entry | None = None
    """In ceph-csi's journal."""
    bound_again: Claim | None = None
    """Not the claim that it was made for, and to be gone for sure."""


@dataclass(frozen=True, slots=True)
class Release:
    """Only the finalizer goes: the image stays."""


@dataclass(frozen=True, slots=True)
class Keep:
    reason: str


@dataclass(frozen=True, slots=True)
class Attached(Keep):
    """To be deleted once no node has it any more."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """To be deleted, but the volume does not say what; `message` tells what to do."""

    message: str


Decision = Delete | Release | Keep | Unclear


def is_ours(volume: Json) -> bool:
    annotations = volume["metadata"].get("annotations") or {}
    return bool(annotations.get(names.PROVISIONED_BY) == names.PROVISIONER)


def decide(volume: Json, *, attached: bool) -> Decision:  # noqa: PLR0911 - a decision table, row by row
    """`attached`: a VolumeAttachment refers to it."""
    metadata, spec = volume["metadata"], volume["spec"]
    if not is_ours(volume):
        return Keep("it is not ours")
    held = names.FINALIZER in (metadata.get("finalizers") or [])
    leaving = bool(metadata.get("deletionTimestamp"))
    if leaving and not held:
        return Keep("it is on its way already")
    if spec.get("persistentVolumeReclaimPolicy") != "Delete":
        return Release() if leaving else Keep("its reclaim policy is not Delete")
    if (volume.get("status") or {}).get("phase") != "Released":
        return Keep("it is not Released")
    if attached:
        return Attached("it is attached to a node")
    place = place_of(volume)
    reference = spec.get("claimRef") or {}
    if place is None or not reference.get("uid"):
        return Unclear(
            f"the volume has lost its annotation {names.IMAGE} (pool/image) or its claimRef: "
            "restore it, or set the reclaim policy to Retain and remove the image by hand"
        )
    if not source_agrees(volume, place):
        return Unclear(
            f"the volume's annotation {names.IMAGE} names {place.path}, and nodes use another image for it: correct "
            "the annotation, or set the reclaim policy to Retain and remove the image by hand"
        )
    owner = owner_of(volume)
    annotations = metadata["annotations"]
    delay = None
    if annotations.get(names.DELETION_POLICY) == "trash":
        text = annotations.get(names.TRASH_DELAY, "")
        delay = int(text) if text.isascii() and text.isdigit() else DEFAULT_DELAY
    entry = None
    if annotations.get(names.JOURNAL) == "ceph-csi":
        entry = Entry(owner, names.volume_name(owner), reference.get("namespace", ""))
    # Released is what it was before a tool has bound it to another claim, too.
    claim = Claim(reference.get("namespace", ""), reference.get("name", ""), reference["uid"])
    return Delete(Wanted(place, owner, *ids_of(volume)), delay, entry, claim if claim.uid != owner else None)


def without_finalizer(volume: Json) -> list[Json]:
    """JSON Patch that takes our finalizer off, and fails if it is not where it was."""
    place = volume["metadata"]["finalizers"].index(names.FINALIZER)
    path = f"/metadata/finalizers/{place}"
    return [{"op": "test", "path": path, "value": names.FINALIZER}, {"op": "remove", "path": path}]
