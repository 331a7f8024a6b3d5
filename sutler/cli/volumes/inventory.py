"""The inventory of claims, volumes and images, and rows of it. Pure: no I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sutler import well_known
from sutler.quantity import QuantityError, parse
from sutler.typedefs import Json
from sutler.volumes.adoption_request import claim_key, parse_outcome
from sutler.volumes.attachments import attachment_message
from sutler.volumes.identity import image_id
from sutler.volumes.locations import ImageLocation, PoolLocation, ids_of, is_sutler_volume, location_of, owner_of
from sutler.volumes.served_classes import class_of, is_sutler_class, pool_location

_FINALIZERS = (well_known.FINALIZER, well_known.PROTECTION)
"""Sutler's, and the one that every bound volume has."""


@dataclass
class VolumeInventory:
    """Sutler's volumes, as Kubernetes and the REST API have them."""

    volumes: list[Json]
    """PersistentVolumes that Sutler provisioned."""
    requests: list[Json]
    """PersistentVolumes that request an adoption that is not complete."""
    claims: list[Json]
    """Claims of Sutler's classes, and claims that have a volume of Sutler's."""
    classes: list[Json]
    """StorageClasses that Sutler provisions for."""
    attachments: list[Json] = field(default_factory=list)
    """VolumeAttachments; none if the user may not read them."""
    kubernetes: str = ""
    """The identity of the Kubernetes cluster, the UID of kube-system; empty if the user may not read it."""
    others: list[Json] = field(default_factory=list)
    """PersistentVolumes that Sutler did not provision; they may use an image of Sutler's."""
    images: dict[PoolLocation, list[Json]] = field(default_factory=dict)
    """Images as the REST API lists them; a location that could not be read has no key."""
    pools: dict[int, str] = field(default_factory=dict)
    """Current names of the pools that the REST API lists, by pool id; empty if they are unknown."""
    served: frozenset[str] = frozenset()
    """clusterIDs of the Ceph cluster that the REST API serves; `images` has its images under the first of them."""
    unread_reason: str = ""
    """Why images were not read; empty if they were."""

    def locations(self) -> set[PoolLocation]:
        """Where images of Sutler's classes and volumes are."""
        found = {self.canonical(pool_location(cls)) for cls in self.classes}
        found |= {where for volume in self.volumes if (where := self.location(volume)) is not None}
        return {where for where in found if where.pool}

    def canonical(self, where: PoolLocation) -> PoolLocation:
        """The same location, with the clusterID that `images` uses."""
        return replace(where, cluster=min(self.served)) if where.cluster in self.served else where

    def location(self, volume: Json) -> PoolLocation | None:
        """Where the volume's image is, by the current name of the pool."""
        place = location_of(volume)
        if place is None:
            return None
        number, _ = ids_of(volume)
        there = place.cluster in self.served and number is not None
        pool = self.pools.get(number or 0, place.pool) if there else place.pool
        return self.canonical(PoolLocation(place.cluster, pool, place.namespace))

    def image(self, volume: Json) -> tuple[PoolLocation, Json] | None:
        """The volume's image and its location: the image with its id, else one of its name that names its owner."""
        place, where = location_of(volume), self.location(volume)
        if place is None or where is None:
            return None
        # A volume without an image id has an image whose id is derived from its name.
        found = self._listed(where).get(("id", ids_of(volume)[1] or image_id(self.kubernetes, place.image)))
        if found is not None:
            return where, found
        # librbd chose another id, or a migration changed it.
        for there in (where, self.canonical(PoolLocation(place.cluster, place.pool, place.namespace))):
            found = self._listed(there).get(("name", place.image))
            if found is not None and (found.get("claim") or {}).get("uid") == owner_of(volume):
                return there, found
        return None

    def _listed(self, where: PoolLocation) -> dict[tuple[str, str], Json]:
        images = self.images.get(where, [])
        known, index = self._index.get(where, (None, {}))
        if known is not images:
            index = {("id", image["id"]): image for image in images if "id" in image}
            index |= {("name", image["name"]): image for image in images}
            self._index[where] = (images, index)
        return index

    _index: dict[PoolLocation, tuple[list[Json] | None, dict[tuple[str, str], Json]]] = field(default_factory=dict)

    def has_read_images(self, volume: Json) -> bool:
        """Whether the images at the volume's location were read."""
        return self.location(volume) in self.images


@dataclass(frozen=True)
class VolumeRow:
    """A claim with its volume and image; empty or None if there is none."""

    claim: str
    volume: str
    storage_class: str
    place: ImageLocation | None
    size: int | None
    used: int | None
    """Size and used space in bytes."""
    state: str
    """The volume's phase, or Growing, Deleting, Adopting, Kept, NoImage or Parked."""
    message: str = ""
    """Why the state is not Bound."""

    def as_json(self) -> Json:
        return {
            "claim": self.claim or None,
            "volume": self.volume or None,
            "class": self.storage_class or None,
            "image": self.place.path if self.place else None,
            "clusterID": self.place.cluster or None if self.place else None,
            "size": self.size,
            "used": self.used,
            "state": self.state,
            "message": self.message or None,
        }


def build_inventory(
    volumes: Iterable[Json], claims: Iterable[Json], classes: Iterable[Json], kubernetes: str = ""
) -> VolumeInventory:
    """The inventory of what belongs to Sutler. `kubernetes` is the identity of the cluster."""
    found = list(volumes)
    own = [volume for volume in found if is_sutler_volume(volume)]
    requests = [volume for volume in found if claim_key(volume)]
    served = [cls for cls in classes if is_sutler_class(cls)]
    known = {volume["metadata"]["name"] for volume in own}
    of_class = {cls["metadata"]["name"] for cls in served}
    awaited = {claim_key(request) for request in requests}
    kept = [
        claim
        for claim in claims
        if claim["spec"].get("volumeName", "") in known
        or claim_name(claim) in awaited
        or (not claim["spec"].get("volumeName") and class_of(claim) in of_class)
    ]
    known_volumes = {id(volume) for volume in (*own, *requests)}
    others = [volume for volume in found if id(volume) not in known_volumes]
    return VolumeInventory(own, requests, kept, served, kubernetes=kubernetes, others=others)


def claim_name(claim: Json) -> str:
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"


def rows(inventory: VolumeInventory) -> list[VolumeRow]:
    """Sorted by claim, volumes without one last."""
    claims = {claim["metadata"]["uid"]: claim for claim in inventory.claims}
    found = [_volume_row(inventory, volume, claims) for volume in inventory.volumes]
    found += _rows_without_volume(inventory)
    return sorted(found, key=lambda row: (not row.claim, row.claim, row.volume))


def parked_rows(inventory: VolumeInventory) -> Iterator[VolumeRow]:
    """Rows of the images whose volumes are deleted, and that snapshots or clones need."""
    owners = {owner_of(volume) for volume in inventory.volumes}
    for where, images in inventory.images.items():
        for image in images:
            claim = image.get("claim") or {}
            if not image.get("parked") or claim.get("uid") in owners:
                continue
            place = ImageLocation(where.cluster, where.pool, where.namespace, image["name"])
            yield VolumeRow(
                claim=f"{claim.get('namespace')}/{claim.get('name')}", volume=claim.get("volume") or "",
                storage_class="", place=place, size=image["size"], used=image["used"], state="Parked",
                message="claim and volume are deleted; Sutler deletes the image after its last snapshot and clone",
            )  # fmt: skip


def _volume_row(inventory: VolumeInventory, volume: Json, claims: Mapping[str, Json]) -> VolumeRow:
    spec = volume["spec"]
    reference = spec.get("claimRef") or {}
    place = location_of(volume)
    found = inventory.image(volume)
    image = found[1] if found else None
    gone = place is not None and inventory.has_read_images(volume) and image is None
    state, message = _state(volume, claims.get(reference.get("uid", "")), gone=gone)
    if state == "Deleting":
        message = _deletion_blocker(inventory, volume) or message
    return VolumeRow(
        claim=f"{reference['namespace']}/{reference['name']}" if reference else "",
        volume=volume["metadata"]["name"],
        storage_class=spec.get("storageClassName", ""),
        place=place,
        size=size_of(volume),
        used=image["used"] if image else None,
        state=state,
        message=message,
    )


def _state(volume: Json, claim: Json | None, *, gone: bool) -> tuple[str, str]:
    metadata, spec = volume["metadata"], volume["spec"]
    phase = (volume.get("status") or {}).get("phase", "Pending")
    deletes = spec.get("persistentVolumeReclaimPolicy") == "Delete"
    if "deletionTimestamp" in metadata or (phase == "Released" and deletes):
        return "Deleting", "see the events of the volume for what it waits for"
    if gone:
        return "NoImage", "its image does not exist; see sutler volumes orphans"
    if well_known.ADOPTING in (metadata.get("annotations") or {}):
        return "Adopting", "its adoption is not complete"
    if phase == "Bound" and claim is not None:
        return _bound(claim)
    if phase == "Released":
        return "Kept", "its claim is deleted, and the reclaim policy keeps the image"
    return phase, ""


def _bound(claim: Json) -> tuple[str, str]:
    if "deletionTimestamp" in claim["metadata"]:
        return "Bound", "its claim will be deleted when no Pod uses it any more"
    return ("Growing", "the claim requests more than it has") if _grows(claim) else ("Bound", "")


def _deletion_blocker(inventory: VolumeInventory, volume: Json) -> str:
    """What blocks the deletion of a volume, as far as Kubernetes shows it."""
    metadata = volume["metadata"]
    holding = [
        (one["metadata"]["name"], str(one["spec"].get("nodeName", "")))
        for one in inventory.attachments
        if (one["spec"].get("source") or {}).get("persistentVolumeName") == metadata["name"]
    ]
    if holding:
        return attachment_message(holding)
    if (volume.get("status") or {}).get("phase") == "Bound":
        return "it will be deleted with its claim"
    others = [one for one in metadata.get("finalizers") or [] if one not in _FINALIZERS]
    if others and "deletionTimestamp" in metadata:
        return f"it has finalizers of other controllers, which have not removed them: {', '.join(others)}"
    return ""


def _grows(claim: Json) -> bool:
    wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    has = ((claim.get("status") or {}).get("capacity") or {}).get("storage", "0")
    return _bytes(wanted) > _bytes(has)


def _rows_without_volume(inventory: VolumeInventory) -> Iterator[VolumeRow]:
    requests = {claim_key(request): request for request in inventory.requests}
    sizes = {}
    for claim in inventory.claims:
        key = claim_name(claim)
        wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
        sizes[key] = _bytes(wanted)
        if not claim["spec"].get("volumeName") and key not in requests:
            phase = (claim.get("status") or {}).get("phase", "Pending")
            state = "Deleting" if "deletionTimestamp" in claim["metadata"] else phase
            yield VolumeRow(key, "", class_of(claim), None, sizes[key], None, state)
    for key, request in requests.items():
        annotations = request["metadata"].get("annotations") or {}
        state, text = parse_outcome(request)
        message = (
            f"{state}: {text}"
            if state
            else "the volumes controller has not processed it yet: check that sutler-volumes runs"
        )
        adopted_size = annotations.get(well_known.ADOPTED_SIZE, "")
        size = int(adopted_size) if adopted_size.isdecimal() else None
        place = _requested_image(request)
        yield VolumeRow(key, request["metadata"]["name"], request["spec"]["storageClassName"], place, size, None,
                        "Adopting", message)  # fmt: skip


def _requested_image(request: Json) -> ImageLocation | None:
    annotations = request["metadata"].get("annotations") or {}
    return location_of({"metadata": {"annotations": {well_known.IMAGE: annotations.get(well_known.ADOPT, "")}}})


def size_of(volume: Json) -> int | None:
    """The capacity in bytes."""
    return _bytes((volume["spec"].get("capacity") or {}).get("storage", "")) or None


def age(created: str, now: datetime) -> str:
    """The age as kubectl shows it: in the largest unit of which there are at least two."""
    try:
        seconds = int((now - datetime.fromisoformat(created)).total_seconds())
    except ValueError:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def now() -> datetime:
    return datetime.now(UTC)


def _bytes(text: str) -> int:
    try:
        return parse(text).round_up()
    except QuantityError:
        return 0
