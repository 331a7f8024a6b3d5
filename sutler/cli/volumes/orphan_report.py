"""Finds images without a volume and volumes without an image, with commands to fix each. Pure: no I/O.

No advice may lose data: a command that deletes an image is given only if it is proven that no volume and no claim needs
the image, and that it is not a copy.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sutler import well_known
from sutler.cli.output import columns
from sutler.cli.volumes.inventory import VolumeInventory, age
from sutler.cli.volumes.missing_images import OrphanVolume, missing_images
from sutler.typedefs import Json
from sutler.volumes.identity import Relation, relation
from sutler.volumes.locations import ImageLocation, PoolLocation, owner_of, uses_image
from sutler.volumes.parking import parse_parked
from sutler.volumes.served_classes import pool_location

Details = Callable[[PoolLocation, str], Json | None]
HEADINGS = ("WHAT", "NAME", "CLAIM", "AGE", "WHY")
COPY = "copy"
PARKED = "parked"
"""An image whose volume is deleted, and that Sutler deletes after its last snapshot and clone."""
NO_PROBLEM = frozenset((COPY, PARKED))
"""Kinds that need no fix."""
_WEEK = 7 * 24 * 3600


def find_orphans(
    before: VolumeInventory,
    after: VolumeInventory,
    details: Details,
    trash: Callable[[PoolLocation], list[Json]],
    failures: Mapping[str, str] | None = None,
) -> list[OrphanVolume]:
    """Orphans by two inventories, so that volumes created while images were listed are none.

    Args:
        before: read before the images were listed, with the images.
        after: read after that, without images.
        details: returns all fields of an image; called only for images that look like orphans.
        trash: returns the entries of a pool's trash.
        failures: messages of volumes that could not be deleted, by name.
    """
    after.images, after.pools, after.served = before.images, before.pools, before.served
    known = {volume["metadata"]["uid"] for volume in before.volumes}
    steady = [volume for volume in after.volumes if volume["metadata"]["uid"] in known]
    return [*_images(after, details), *missing_images(after, steady, trash, failures or {})]


@dataclass(frozen=True)
class _Found:
    """An image that no volume of Sutler's uses."""

    place: ImageLocation
    listed: Json
    details: Json
    metadata: Mapping[str, str]

    @property
    def claim(self) -> str:
        return f"{self.listed['claim']['namespace']}/{self.listed['claim']['name']}"


def _images(inventory: VolumeInventory, details: Details) -> Iterator[OrphanVolume]:
    has = {(there[0], there[1]["name"]) for volume in inventory.volumes if (there := inventory.image(volume))}
    waiting = {claim["metadata"]["uid"] for claim in inventory.claims if not claim["spec"].get("volumeName")}
    requests = {request["metadata"]["name"] for request in inventory.requests}
    numbers = {name: number for number, name in inventory.pools.items()}
    owners = {owner_of(volume): volume for volume in inventory.volumes}
    for where, images in inventory.images.items():
        for image in images:
            uid = (image["claim"] or {}).get("uid")
            if not uid or uid in waiting or (where, image["name"]) in has:
                continue
            more = details(where, image["name"]) or {}
            metadata = {well_known.OWNER: uid} | (more.get("metadata") or {})
            # Several Kubernetes clusters may share a pool; images of the others are no orphans.
            if (
                metadata.get(well_known.KUBERNETES) != inventory.kubernetes
                or metadata.get(well_known.ADOPTING) in requests
            ):
                continue
            place = ImageLocation(where.cluster, where.pool, where.namespace, image["name"])
            found = _Found(place, image, more, metadata)
            number = numbers.get(where.pool, int(metadata.get(well_known.POOL_ID) or 0))
            whose = relation(
                metadata, pool=number, image=image.get("id", ""), name=place.image, kubernetes=inventory.kubernetes
            )
            if uid not in owners and parse_parked(metadata, number, image.get("id", "")) is not None:
                yield _orphan(PARKED, found, f"its claim is deleted; {_why_needed(found) or 'nothing needs it'}")
                continue
            yield _orphan_image(inventory, found, whose, owners.get(uid))


def _orphan_image(inventory: VolumeInventory, found: _Found, whose: Relation, volume: Json | None) -> OrphanVolume:
    """`volume`: the volume of the same claim."""
    if volume is not None:
        return _image_beside_volume(inventory, found, whose, volume)
    adopt = f"sutler volumes adopt {shlex.quote(found.place.path)} --claim {shlex.quote(found.claim)} --class "
    adopt += _class_for(inventory, found.place)
    if whose is Relation.COPY:
        return _orphan(COPY, found, "a copy, clone or migration of its claim's image, which does not exist", adopt)
    user = next((one["metadata"]["name"] for one in inventory.others if uses_image(one, found.place)), None)
    if user is not None:
        return _orphan("image", found, f"PersistentVolume {user}, which is not Sutler's, uses it")
    why = "neither its claim nor a volume exists"
    if well_known.ADOPTING in found.metadata:
        why = "its adoption was not completed"
    elif whose is Relation.LIKELY:
        why += ", but it may be a copy"
    if whose is Relation.LIKELY:
        return _orphan("image", found, why, adopt)
    need = _why_needed(found)
    if need:
        return _orphan("image", found, f"{why}, but {need}", adopt)
    delete = f"sutler images delete {shlex.quote(found.place.path)} --trash --keep {_WEEK} --force"
    return _orphan("image", found, why, adopt, delete)


def _image_beside_volume(inventory: VolumeInventory, found: _Found, whose: Relation, volume: Json) -> OrphanVolume:
    name, has = volume["metadata"]["name"], inventory.image(volume)
    if has is not None:
        return _orphan(COPY, found, f"a copy of {has[0].path}/{has[1]['name']}, which volume {name} uses")
    if "migrating" in found.listed.get("features", ()):
        return _orphan(COPY, found, f"the target of a migration of volume {name}'s image")
    if not inventory.has_read_images(volume) or whose is Relation.PROVEN:
        return _orphan("image", found, f"it belongs to volume {name}, which names another image")
    return _orphan("image", found, f"volume {name} has no image: this is its image renamed, or a copy of it")


def _why_needed(found: _Found) -> str:
    """Why the image is still needed although it has no claim and no volume; empty if it is not."""
    if "migrating" in found.listed.get("features", ()):
        return "it is being migrated"
    if watchers := found.details.get("watchers"):
        return f"it is in use at {watchers[0]}"
    snapshots = found.details.get("snapshots") or []
    if children := [child for one in snapshots for child in one.get("children", ())]:
        return f"clones depend on it, such as {children[0]}"
    return f"it has snapshots, such as {snapshots[0]['name']}" if snapshots else ""


def _orphan(kind: str, found: _Found, why: str, *fixes: str) -> OrphanVolume:
    created = found.listed["created"] or ""
    return OrphanVolume(kind, found.place.path, found.place.cluster, found.claim, created, why, fixes)


def _class_for(inventory: VolumeInventory, place: ImageLocation) -> str:
    """A StorageClass whose images are in the same place, else a placeholder."""
    there = PoolLocation(place.cluster, place.pool, place.namespace)
    fitting = [cls["metadata"]["name"] for cls in inventory.classes if inventory.canonical(pool_location(cls)) == there]
    return shlex.quote(min(fitting)) if fitting else "CLASS"


def as_text(found: list[OrphanVolume], now: datetime) -> str:
    if not found:
        return "No orphans: every image has a volume, and every volume has an image."
    rows = [(one.kind, one.name, one.claim or "-", age(one.created, now), one.why) for one in found]
    table = columns(HEADINGS, rows).splitlines()
    lines = [table[0]]
    for line, one in zip(table[1:], found, strict=True):
        lines.append(line)
        lines += [f"  {'either' if place == 0 and len(one.fixes) > 1 else 'or' if place else 'do'}: {fix}"
                  for place, fix in enumerate(one.fixes)]  # fmt: skip
    return "\n".join(lines)
