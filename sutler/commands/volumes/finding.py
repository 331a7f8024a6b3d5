"""Images without a volume, volumes without an image, and what to type about each: pure."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sutler.commands.volumes.facts import Facts, age
from sutler.output import columns
from sutler.volumes import names
from sutler.volumes.classes import Where, where_of
from sutler.volumes.place import Place, place_of

Json = dict[str, Any]
HEADINGS = ("WHAT", "NAME", "CLAIM", "AGE", "WHY")
_KUBERNETES = "sutler.dev/kubernetes"
_WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class Orphan:
    kind: str
    """image, or volume"""
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


def find(
    before: Facts, after: Facts, details: Callable[[Where, str], Json | None], trash: Callable[[Where], list[Json]]
) -> list[Orphan]:
    """What is amiss with both what was there before the images were listed, and what was there after.

    `details`: all of one image, asked only of those that look like orphans.
    """
    after.images = before.images
    known = {volume["metadata"]["uid"] for volume in before.volumes}
    steady = [volume for volume in after.volumes if volume["metadata"]["uid"] in known]
    return [*_images(after, details), *_volumes(after, steady, trash)]


def _images(facts: Facts, details: Callable[[Where, str], Json | None]) -> Iterator[Orphan]:
    taken = {place for volume in facts.volumes if (place := place_of(volume)) is not None}
    waiting = {claim["metadata"]["uid"] for claim in facts.claims if not claim["spec"].get("volumeName")}
    requests = {request["metadata"]["name"] for request in facts.requests}
    for where, images in facts.images.items():
        for image in images:
            claim = image["claim"] or {}
            place = Place(where.cluster, where.pool, where.namespace, image["name"])
            if not claim.get("uid") or place in taken or claim["uid"] in waiting:
                continue
            metadata = (details(where, image["name"]) or {}).get("metadata") or {}
            # Pools may serve several Kubernetes clusters: the others' images are none of our business.
            if metadata.get(_KUBERNETES) != facts.kubernetes or metadata.get(names.ADOPTING) in requests:
                continue
            yield _image(facts, place, image, unfinished=names.ADOPTING in metadata)


def _image(facts: Facts, place: Place, image: Json, *, unfinished: bool) -> Orphan:
    claim = f"{image['claim']['namespace']}/{image['claim']['name']}"
    cls = _class_for(facts, place)
    path = shlex.quote(place.path)
    return Orphan(
        "image",
        place.path,
        place.cluster,
        claim,
        image["created"] or "",
        "its adoption was not completed" if unfinished else "neither its claim nor a volume is there",
        (
            f"sutler volumes adopt {path} --claim {shlex.quote(claim)} --class {cls}",
            f"sutler images delete {path} --trash --keep {_WEEK} --force",
        ),
    )


def _class_for(facts: Facts, place: Place) -> str:
    """One whose images are in the same place, else something to be filled in."""
    fitting = [
        cls["metadata"]["name"]
        for cls in facts.classes
        if where_of(cls) == Where(place.cluster, place.pool, place.namespace)
    ]
    return shlex.quote(min(fitting)) if fitting else "CLASS"


def _volumes(facts: Facts, volumes: list[Json], trash: Callable[[Where], list[Json]]) -> Iterator[Orphan]:
    for volume in volumes:
        place = place_of(volume)
        leaves = "deletionTimestamp" in volume["metadata"]
        if place is None or leaves or not facts.looked_at(place) or facts.image(place):
            continue
        if _deletes(volume):
            continue
        yield _volume(volume, place, trash(Where(place.cluster, place.pool, place.namespace)))


def _deletes(volume: Json) -> bool:
    released = (volume.get("status") or {}).get("phase") == "Released"
    return bool(released and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete")


def _volume(volume: Json, place: Place, entries: list[Json]) -> Orphan:
    metadata, reference = volume["metadata"], volume["spec"].get("claimRef") or {}
    where = Where(place.cluster, place.pool, place.namespace)
    thrown = next((entry for entry in entries if entry["name"] == place.image), None)
    fixes = [f"sutler images trash restore {shlex.quote(where.path)} {thrown['id']}"] if thrown else []
    if reference:
        fixes.append(f"kubectl -n {shlex.quote(reference['namespace'])} delete pvc {shlex.quote(reference['name'])}")
    else:
        fixes.append(f"kubectl delete pv {shlex.quote(metadata['name'])}")
    return Orphan(
        "volume",
        metadata["name"],
        place.cluster,
        f"{reference['namespace']}/{reference['name']}" if reference else "",
        metadata["creationTimestamp"],
        f"its image {place.path} is in the trash" if thrown else f"its image {place.path} does not exist",
        tuple(fixes),
    )


def as_text(found: list[Orphan], now: datetime) -> str:
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
