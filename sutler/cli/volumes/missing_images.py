"""Volumes whose image is missing or renamed, and volumes that cannot be deleted. Pure: no I/O."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sutler.cli.volumes.inventory import VolumeInventory
from sutler.typedefs import Json
from sutler.volumes.locations import ImageLocation, PoolLocation, ids_of, location_of, owner_of

Trash = Callable[[PoolLocation], list[Json]]


@dataclass(frozen=True)
class OrphanVolume:
    """An orphan: a volume without its image, an image without a volume, or a copy of an image."""

    kind: str
    """`image`, `volume`, `copy` or `parked`. The last two need no fix."""
    name: str
    cluster: str
    claim: str
    created: str
    why: str
    fixes: tuple[str, ...]
    """Commands, each of which is one way to fix it."""

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


def missing_images(
    inventory: VolumeInventory, volumes: list[Json], trash: Trash, failures: Mapping[str, str]
) -> Iterator[OrphanVolume]:
    """Findings about `volumes`. `failures` are messages of volumes that could not be deleted, by name."""
    for volume in volumes:
        name, place = volume["metadata"]["name"], location_of(volume)
        if "deletionTimestamp" in volume["metadata"] or _deletes(volume):
            if name in failures:
                yield _volume(volume, f"it cannot be deleted: {failures[name]}")
            continue
        where = inventory.location(volume)
        if place is None or where is None:
            continue
        found = inventory.image(volume)
        if found is not None:
            if (found[0].pool, found[1]["name"]) != (place.pool, place.image):
                yield _moved(volume, place, *found)
        elif (
            inventory.pools and ids_of(volume)[0] not in {None, *inventory.pools} and place.cluster in inventory.served
        ):
            yield _volume(volume, f"its pool {place.pool}, id {ids_of(volume)[0]}, does not exist", *_deletion(volume))
        elif inventory.has_read_images(volume):
            yield _missing_image(inventory, volume, place, where, trash(where))


def _deletes(volume: Json) -> bool:
    released = (volume.get("status") or {}).get("phase") == "Released"
    return bool(released and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete")


def _moved(volume: Json, place: ImageLocation, where: PoolLocation, image: Json) -> OrphanVolume:
    """Nodes use the names that the volume was created with."""
    if where.pool != place.pool:
        fix = f"ceph osd pool rename {shlex.quote(where.pool)} {shlex.quote(place.pool)}"
        return _volume(volume, f"its pool {place.pool} was renamed to {where.pool}, so nodes do not find it", fix)
    now = f"{where.path}/{image['name']}"
    fix = f"sutler images rename {shlex.quote(now)} {shlex.quote(place.image)} --force"
    return _volume(volume, f"its image {place.path} was renamed to {image['name']}, so nodes do not find it", fix)


def _missing_image(
    inventory: VolumeInventory, volume: Json, place: ImageLocation, where: PoolLocation, entries: list[Json]
) -> OrphanVolume:
    number, identifier = ids_of(volume)
    entry = next((one for one in entries if (one["id"] == identifier if identifier else one["name"] == place.image)),
                  None)  # fmt: skip
    if entry is not None and entry.get("source", "USER") == "MIGRATION":
        return _volume(volume, f"its image {place.path} is being migrated")
    if entry is not None:
        restore = f"sutler images trash restore {shlex.quote(where.path)} {entry['id']}"
        if entry["name"] != place.image:
            restore += f" --name {shlex.quote(place.image)}"
        return _volume(volume, f"its image {place.path} is in the trash", restore, *_deletion(volume))
    others = sorted(
        f"{there.path}/{image['name']}"
        for there, images in inventory.images.items()
        for image in images
        if (image["claim"] or {}).get("uid") == owner_of(volume)
    )
    if others:
        return _volume(
            volume, f"its image {place.path} does not exist; {others[0]} is the same image renamed, or a copy"
        )
    proven = number is not None and identifier and inventory.pools
    return _volume(volume, f"its image {place.path} does not exist", *(_deletion(volume) if proven else ()))


def _deletion(volume: Json) -> tuple[str, ...]:
    """The command that deletes a volume without an image."""
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
