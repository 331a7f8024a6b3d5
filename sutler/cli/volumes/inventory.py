"""Claims, volumes and images side by side: pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sutler.quantity import QuantityError, parse
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.adoption_request import claim_key, parse_outcome
from sutler.volumes.attachments import attachment_message
from sutler.volumes.identity import image_id
from sutler.volumes.locations import ImageLocation, PoolLocation, ids_of, is_sutler_volume, location_of, owner_of
from sutler.volumes.storage_class import class_of, is_sutler_class, pool_location

_FINALIZERS = ("external-provisioner.volume.kubernetes.io/finalizer", "kubernetes.io/pv-protection")
"""Ours, and the one that every volume has while it is bound."""


@dataclass
class VolumeInventory:
    """What is known of the volumes; all of Kubernetes, and of Ceph what the REST API tells."""

    volumes: list[Json]
    """Ours alone."""
    requests: list[Json]
    """For adoptions that are not complete."""
    claims: list[Json]
    """Those of our classes, and those that have a volume of ours."""
    classes: list[Json]
    """Ours alone."""
    attachments: list[Json] = field(default_factory=list)
    """VolumeAttachments; none where they may not be read."""
    kubernetes: str = ""
    """The identity of the Kubernetes cluster; empty where it may not be asked for."""
    others: list[Json] = field(default_factory=list)
    """Volumes of others, by hand or by another provisioner: they may have an image of ours."""
    images: dict[PoolLocation, list[Json]] = field(default_factory=dict)
    """As the REST API lists them; none for a place that could not be asked about."""
    pools: dict[int, str] = field(default_factory=dict)
    """What the pools of the REST API's cluster are called now, by their numbers; empty: not known."""
    served: frozenset[str] = frozenset()
    """The clusterIDs that mean the REST API's cluster; all images in it are listed under the first of them."""
    unseen: str = ""
    """Why nothing of Ceph is known."""

    def wheres(self) -> set[PoolLocation]:
        """Where our images are, or would be."""
        found = {self.canonical(pool_location(cls)) for cls in self.classes}
        found |= {where for volume in self.volumes if (where := self.where(volume)) is not None}
        return {where for where in found if where.pool}

    def canonical(self, where: PoolLocation) -> PoolLocation:
        return replace(where, cluster=min(self.served)) if where.cluster in self.served else where

    def where(self, volume: Json) -> PoolLocation | None:
        """Where the volume's image is, by the pool's name of today."""
        place = location_of(volume)
        if place is None:
            return None
        number, _ = ids_of(volume)
        there = place.cluster in self.served and number is not None
        pool = self.pools.get(number or 0, place.pool) if there else place.pool
        return self.canonical(PoolLocation(place.cluster, pool, place.namespace))

    def image(self, volume: Json) -> tuple[PoolLocation, Json] | None:
        """The volume's image by its id, or one of that name that names the volume's owner; with where it is."""
        place, where = location_of(volume), self.where(volume)
        if place is None or where is None:
            return None
        # By the id that follows from the name, if the volume does not know it yet.
        found = self._listed(where).get(("id", ids_of(volume)[1] or image_id(self.kubernetes, place.image)))
        if found is not None:
            return where, found
        # librbd has drawn another, or a migration has given it another.
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

    def looked_at(self, volume: Json) -> bool:
        return self.where(volume) in self.images


@dataclass(frozen=True)
class VolumeRow:
    """A claim with its volume and image, as far as there are such."""

    claim: str
    volume: str
    storage_class: str
    place: ImageLocation | None
    size: int | None
    used: int | None
    state: str
    message: str = ""

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


def sort_out(
    volumes: Iterable[Json], claims: Iterable[Json], classes: Iterable[Json], kubernetes: str = ""
) -> VolumeInventory:
    """Leaves out what is not ours."""
    found = list(volumes)
    ours = [volume for volume in found if is_sutler_volume(volume)]
    requests = [volume for volume in found if claim_key(volume)]
    served = [cls for cls in classes if is_sutler_class(cls)]
    known = {volume["metadata"]["name"] for volume in ours}
    of_class = {cls["metadata"]["name"] for cls in served}
    awaited = {claim_key(request) for request in requests}
    kept = [
        claim
        for claim in claims
        if claim["spec"].get("volumeName", "") in known
        or key_of(claim) in awaited
        or (not claim["spec"].get("volumeName") and class_of(claim) in of_class)
    ]
    asked = {id(volume) for volume in (*ours, *requests)}
    others = [volume for volume in found if id(volume) not in asked]
    return VolumeInventory(ours, requests, kept, served, kubernetes=kubernetes, others=others)


def key_of(claim: Json) -> str:
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"


def rows(facts: VolumeInventory) -> list[VolumeRow]:
    """By claim; volumes without one at the end."""
    claims = {claim["metadata"]["uid"]: claim for claim in facts.claims}
    found = [_of_volume(facts, volume, claims) for volume in facts.volumes]
    found += _without_volume(facts)
    return sorted(found, key=lambda row: (not row.claim, row.claim, row.volume))


def _of_volume(facts: VolumeInventory, volume: Json, claims: Mapping[str, Json]) -> VolumeRow:
    spec = volume["spec"]
    reference = spec.get("claimRef") or {}
    place = location_of(volume)
    found = facts.image(volume)
    image = found[1] if found else None
    gone = place is not None and facts.looked_at(volume) and image is None
    state, message = _state(volume, claims.get(reference.get("uid", "")), gone=gone)
    if state == "Deleting":
        message = _what_holds(facts, volume) or message
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
        return "Deleting", "the events of the volume say what it waits for"
    if gone:
        return "NoImage", "its image does not exist: sutler volumes orphans"
    if well_known.ADOPTING in (metadata.get("annotations") or {}):
        return "Adopting", "its adoption is not complete"
    if phase == "Bound" and claim is not None:
        return _bound(claim)
    if phase == "Released":
        return "Kept", "its claim is gone, and the reclaim policy keeps the image"
    return phase, ""


def _bound(claim: Json) -> tuple[str, str]:
    if "deletionTimestamp" in claim["metadata"]:
        return "Bound", "its claim is to be deleted, when no Pod uses it any more"
    return ("Growing", "the claim asks for more than it has yet") if _grows(claim) else ("Bound", "")


def _what_holds(facts: VolumeInventory, volume: Json) -> str:
    """What keeps a volume that is to go, as far as Kubernetes shows it."""
    metadata = volume["metadata"]
    holding = [
        (one["metadata"]["name"], str(one["spec"].get("nodeName", "")))
        for one in facts.attachments
        if (one["spec"].get("source") or {}).get("persistentVolumeName") == metadata["name"]
    ]
    if holding:
        return attachment_message(holding)
    if (volume.get("status") or {}).get("phase") == "Bound":
        return "it goes when its claim does"
    others = [one for one in metadata.get("finalizers") or [] if one not in _FINALIZERS]
    if others and "deletionTimestamp" in metadata:
        return f"others hold it by their finalizers, until they take them off: {', '.join(others)}"
    return ""


def _grows(claim: Json) -> bool:
    wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    has = ((claim.get("status") or {}).get("capacity") or {}).get("storage", "0")
    return _bytes(wanted) > _bytes(has)


def _without_volume(facts: VolumeInventory) -> Iterator[VolumeRow]:
    requests = {claim_key(request): request for request in facts.requests}
    sizes = {}
    for claim in facts.claims:
        key = key_of(claim)
        wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
        sizes[key] = _bytes(wanted)
        if not claim["spec"].get("volumeName") and key not in requests:
            phase = (claim.get("status") or {}).get("phase", "Pending")
            state = "Deleting" if "deletionTimestamp" in claim["metadata"] else phase
            yield VolumeRow(key, "", class_of(claim), None, sizes[key], None, state)
    for key, request in requests.items():
        annotations = request["metadata"].get("annotations") or {}
        state, message = parse_outcome(request)
        said = f"{state}: {message}" if state else "nobody has looked at it yet: does sutler-volumes run?"
        asked = annotations.get(well_known.ADOPTED_SIZE, "")
        size = int(asked) if asked.isdecimal() else None
        place = _requested(request)
        yield VolumeRow(key, request["metadata"]["name"], request["spec"]["storageClassName"], place, size, None,
                        "Adopting", said)  # fmt: skip


def _requested(request: Json) -> ImageLocation | None:
    annotations = request["metadata"].get("annotations") or {}
    return location_of({"metadata": {"annotations": {well_known.IMAGE: annotations.get(well_known.ADOPT, "")}}})


def size_of(volume: Json) -> int | None:
    return _bytes((volume["spec"].get("capacity") or {}).get("storage", "")) or None


def age(created: str, now: datetime) -> str:
    """As kubectl: in the largest unit of which there are at least two."""
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
