"""Images without a volume, volumes without an image, and what to type about each: pure.

Nothing is advised that could cost data: a command that deletes is given only where it is proven that no volume and no
claim needs the thing, and that the thing is what it seems to be, and no copy.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sutler.cli.output import columns
from sutler.cli.volumes.inventory import VolumeInventory, age
from sutler.cli.volumes.missing_images import OrphanVolume, missing
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.identity import Relation, relation
from sutler.volumes.locations import ImageLocation, PoolLocation, owner_of, uses_image
from sutler.volumes.storage_class import pool_location

Details = Callable[[PoolLocation, str], Json | None]
HEADINGS = ("WHAT", "NAME", "CLAIM", "AGE", "WHY")
COPY = "copy"
_WEEK = 7 * 24 * 3600


def find(
    before: VolumeInventory,
    after: VolumeInventory,
    details: Details,
    trash: Callable[[PoolLocation], list[Json]],
    failures: Mapping[str, str] | None = None,
) -> list[OrphanVolume]:
    """What is amiss with both what was there before the images were listed, and what was there after.

    Args:
        before: with the images.
        after: without.
        details: all of one image, asked only of those that look like orphans.
        trash: the entries of a pool's trash.
        failures: what was said of the volumes that could not be deleted, by their names.
    """
    after.images, after.pools, after.served = before.images, before.pools, before.served
    known = {volume["metadata"]["uid"] for volume in before.volumes}
    steady = [volume for volume in after.volumes if volume["metadata"]["uid"] in known]
    return [*_images(after, details), *missing(after, steady, trash, failures or {})]


@dataclass(frozen=True)
class _Found:
    """An image that no volume of ours has."""

    place: ImageLocation
    listed: Json
    details: Json
    metadata: Mapping[str, str]

    @property
    def claim(self) -> str:
        return f"{self.listed['claim']['namespace']}/{self.listed['claim']['name']}"


def _images(facts: VolumeInventory, details: Details) -> Iterator[OrphanVolume]:
    has = {(there[0], there[1]["name"]) for volume in facts.volumes if (there := facts.image(volume))}
    waiting = {claim["metadata"]["uid"] for claim in facts.claims if not claim["spec"].get("volumeName")}
    requests = {request["metadata"]["name"] for request in facts.requests}
    numbers = {name: number for number, name in facts.pools.items()}
    owners = {owner_of(volume): volume for volume in facts.volumes}
    for where, images in facts.images.items():
        for image in images:
            uid = (image["claim"] or {}).get("uid")
            if not uid or uid in waiting or (where, image["name"]) in has:
                continue
            more = details(where, image["name"]) or {}
            metadata = {well_known.OWNER: uid} | (more.get("metadata") or {})
            # Pools may serve several Kubernetes clusters: the others' images are none of our business.
            if metadata.get(well_known.KUBERNETES) != facts.kubernetes or metadata.get(well_known.ADOPTING) in requests:
                continue
            place = ImageLocation(where.cluster, where.pool, where.namespace, image["name"])
            found = _Found(place, image, more, metadata)
            number = numbers.get(where.pool, int(metadata.get(well_known.POOL_ID) or 0))
            whose = relation(
                metadata, pool=number, image=image.get("id", ""), name=place.image, kubernetes=facts.kubernetes
            )
            yield _judge(facts, found, whose, owners.get(uid))


def _judge(facts: VolumeInventory, found: _Found, whose: Relation, volume: Json | None) -> OrphanVolume:
    """`volume`: the one that was made for the same claim."""
    if volume is not None:
        return _beside(facts, found, whose, volume)
    adopt = f"sutler volumes adopt {shlex.quote(found.place.path)} --claim {shlex.quote(found.claim)} --class "
    adopt += _class_for(facts, found.place)
    if whose is Relation.COPY:
        return _orphan(COPY, found, "a copy, clone or migration of its claim's image, which is gone", adopt)
    user = next((one["metadata"]["name"] for one in facts.others if uses_image(one, found.place)), None)
    if user is not None:
        return _orphan("image", found, f"PersistentVolume {user}, which is not Sutler's, has it")
    why = "neither its claim nor a volume is there"
    if well_known.ADOPTING in found.metadata:
        why = "its adoption was not completed"
    elif whose is Relation.LIKELY:
        why += ", but nothing proves that it is not a copy"
    if whose is Relation.LIKELY:
        return _orphan("image", found, why, adopt)
    hindrance = _needed(found)
    if hindrance:
        return _orphan("image", found, f"{why}, but {hindrance}", adopt)
    delete = f"sutler images delete {shlex.quote(found.place.path)} --trash --keep {_WEEK} --force"
    return _orphan("image", found, why, adopt, delete)


def _beside(facts: VolumeInventory, found: _Found, whose: Relation, volume: Json) -> OrphanVolume:
    name, has = volume["metadata"]["name"], facts.image(volume)
    if has is not None:
        return _orphan(COPY, found, f"a copy of {has[0].path}/{has[1]['name']}, which volume {name} has")
    if "migrating" in found.listed.get("features", ()):
        return _orphan(COPY, found, f"what volume {name}'s image is being migrated to")
    if not facts.looked_at(volume) or whose is Relation.PROVEN:
        return _orphan("image", found, f"volume {name} is to have it, and names another one")
    return _orphan("image", found, f"volume {name} misses its image: this is it under another name, or a copy of it")


def _needed(found: _Found) -> str:
    """What shows that somebody or something needs the image, beside claims and volumes."""
    if "migrating" in found.listed.get("features", ()):
        return "it is being migrated"
    if watchers := found.details.get("watchers"):
        return f"it is in use at {watchers[0]}"
    snapshots = found.details.get("snapshots") or []
    if children := [child for one in snapshots for child in one.get("children", ())]:
        return f"clones depend on it, like {children[0]}"
    return f"it has snapshots, like {snapshots[0]['name']}" if snapshots else ""


def _orphan(kind: str, found: _Found, why: str, *fixes: str) -> OrphanVolume:
    created = found.listed["created"] or ""
    return OrphanVolume(kind, found.place.path, found.place.cluster, found.claim, created, why, fixes)


def _class_for(facts: VolumeInventory, place: ImageLocation) -> str:
    """One whose images are in the same place, else something to be filled in."""
    there = PoolLocation(place.cluster, place.pool, place.namespace)
    fitting = [cls["metadata"]["name"] for cls in facts.classes if facts.canonical(pool_location(cls)) == there]
    return shlex.quote(min(fitting)) if fitting else "CLASS"


def as_text(found: list[OrphanVolume], now: datetime) -> str:
    if not found:
        return "No orphans: every image has its volume, and every volume its image."
    rows = [(one.kind, one.name, one.claim or "-", age(one.created, now), one.why) for one in found]
    table = columns(HEADINGS, rows).splitlines()
    lines = [table[0]]
    for line, one in zip(table[1:], found, strict=True):
        lines.append(line)
        lines += [f"  {'either' if place == 0 and len(one.fixes) > 1 else 'or' if place else 'do'}: {fix}"
                  for place, fix in enumerate(one.fixes)]  # fmt: skip
    return "\n".join(lines)
