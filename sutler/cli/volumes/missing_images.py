"""Volumes whose image is gone, or not where nodes look for it, and those that can't be deleted: pure."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sutler.cli.volumes.inventory import VolumeInventory
from sutler.typedefs import Json
from sutler.volumes.locations import ImageLocation, PoolLocation, ids_of, location_of, owner_of

Trash = Callable[[PoolLocation], list[Json]]


@dataclass(frozen=True)
class OrphanVolume:
    kind: str
    """image, volume, or copy: of an image, and nothing that has to be mended"""
    name: str
    cluster: str
    claim: str
    created: str
    why: str
    fixes: tuple[str, ...]
    """Commands; each is one way of several."""

    def as_json(self) -> Json:
        return {
            "kind": self.kind,
            "name": self.name,
            "clusterID": self.cluster or None,
            "claim": self.claim or None,
            "created": self.created,
            "why": self.why,
            "fixes": list(self.fixes),
        }


def missing(
    facts: VolumeInventory, volumes: list[Json], trash: Trash, failures: Mapping[str, str]
) -> Iterator[OrphanVolume]:
    for volume in volumes:
        name, place = volume["metadata"]["name"], location_of(volume)
        if "deletionTimestamp" in volume["metadata"] or _deletes(volume):
            if name in failures:
                yield _volume(volume, f"it is to be deleted, and can't be: {failures[name]}")
            continue
        where = facts.where(volume)
        if place is None or where is None:
            continue
        found = facts.image(volume)
        if found is not None:
            if (found[0].pool, found[1]["name"]) != (place.pool, place.image):
                yield _moved(volume, place, *found)
        elif facts.pools and ids_of(volume)[0] not in {None, *facts.pools} and place.cluster in facts.served:
            yield _volume(volume, f"its pool {place.pool}, number {ids_of(volume)[0]}, is gone", *_end(volume))
        elif facts.looked_at(volume):
            yield _gone(facts, volume, place, where, trash(where))


def _deletes(volume: Json) -> bool:
    released = (volume.get("status") or {}).get("phase") == "Released"
    return bool(released and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete")


def _moved(volume: Json, place: ImageLocation, where: PoolLocation, image: Json) -> OrphanVolume:
    """Nodes go by the names that the volume was made with."""
    if where.pool != place.pool:
        fix = f"ceph osd pool rename {shlex.quote(where.pool)} {shlex.quote(place.pool)}"
        return _volume(volume, f"its pool {place.pool} was renamed to {where.pool}: nodes do not find it", fix)
    now = f"{where.path}/{image['name']}"
    fix = f"sutler images rename {shlex.quote(now)} {shlex.quote(place.image)} --force"
    return _volume(volume, f"its image {place.path} was renamed to {image['name']}: nodes do not find it", fix)


def _gone(
    facts: VolumeInventory, volume: Json, place: ImageLocation, where: PoolLocation, entries: list[Json]
) -> OrphanVolume:
    number, identifier = ids_of(volume)
    thrown = next((one for one in entries if (one["id"] == identifier if identifier else one["name"] == place.image)),
                  None)  # fmt: skip
    if thrown is not None and thrown.get("source", "USER") == "MIGRATION":
        return _volume(volume, f"its image {place.path} is being migrated")
    if thrown is not None:
        restore = f"sutler images trash restore {shlex.quote(where.path)} {thrown['id']}"
        if thrown["name"] != place.image:
            restore += f" --name {shlex.quote(place.image)}"
        return _volume(volume, f"its image {place.path} is in the trash", restore, *_end(volume))
    others = sorted(
        f"{there.path}/{image['name']}"
        for there, images in facts.images.items()
        for image in images
        if (image["claim"] or {}).get("uid") == owner_of(volume)
    )
    if others:
        return _volume(
            volume, f"its image {place.path} does not exist; {others[0]} is it under another name, or a copy"
        )
    proven = number is not None and identifier and facts.pools
    return _volume(volume, f"its image {place.path} does not exist", *(_end(volume) if proven else ()))


def _end(volume: Json) -> tuple[str, ...]:
    """What deletes a volume that has no image any more."""
    reference = volume["spec"].get("claimRef") or {}
    if not reference:
        return (f"kubectl delete pv {shlex.quote(volume['metadata']['name'])}",)
    return (f"kubectl -n {shlex.quote(reference['namespace'])} delete pvc {shlex.quote(reference['name'])}",)


def _volume(volume: Json, why: str, *fixes: str) -> OrphanVolume:
    metadata, reference = volume["metadata"], volume["spec"].get("claimRef") or {}
    place = location_of(volume)
    return OrphanVolume(
        "volume",
        metadata["name"],
        place.cluster if place else "",
        f"{reference['namespace']}/{reference['name']}" if reference else "",
        metadata["creationTimestamp"],
        why,
        fixes,
    )
