"""Asks the controller to adopt an image, and waits until it has."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from sutler.cli.output import RefusedError, UsageError, complain
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, NotFound
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sutler.quantity import of_bytes
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.adoption_request import AdoptionRequest, AdoptionState, parse_outcome, render
from sutler.volumes.locations import location_of, parse_location
from sutler.volumes.storage_class import FILESYSTEMS, class_of, is_sutler_class, pool_location

_PAUSE = 0.5
_PATIENCE = 15.0
"""Seconds in which the controller takes a volume back that it has just made."""
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany")


@dataclass(frozen=True)
class AdoptOptions:
    wanted: AdoptionRequest
    create_claim: bool
    access_mode: str
    block: bool
    timeout: float


@dataclass(frozen=True)
class AdoptResult:
    claim: str
    volume: str
    image: str
    size: str

    def as_json(self) -> Json:
        return {"claim": self.claim, "volume": self.volume, "image": self.image, "size": self.size}

    def as_text(self) -> str:
        return f"Claim {self.claim} has volume {self.volume}: image {self.image}, {self.size}."


def adoption(claim: str, storage_class: str, **more: str) -> AdoptionRequest:
    namespace, _, name = claim.partition("/")
    if not namespace or not name or "/" in name:
        raise UsageError(f"claim {claim!r} is not NAMESPACE/NAME")
    image, filesystem = more.get("image", ""), more.get("filesystem", "")
    if image and parse_location("", image) is None:
        raise UsageError(f"{image!r} is not POOL/IMAGE or POOL/NAMESPACE/IMAGE")
    if filesystem and filesystem not in FILESYSTEMS:
        raise UsageError(f"--fstype {filesystem!r} is not one of {', '.join(FILESYSTEMS)}")
    return AdoptionRequest(namespace=namespace, claim=name, storage_class=storage_class, **more)


async def restoration(
    client: Client, claim: str, storage_class: str | None, *, identifier: str, source: str, filesystem: str
) -> AdoptionRequest:
    cls = await _class(client, claim, storage_class)
    return adoption(
        claim,
        cls["metadata"]["name"],
        restore_from=source or pool_location(cls).path,
        restore_id=identifier,
        filesystem=filesystem,
    )


async def _class(client: Client, claim: str, name: str | None) -> Json:
    ours = {cls["metadata"]["name"]: cls for cls in await client.list(STORAGE_CLASSES) if is_sutler_class(cls)}
    known = ", ".join(sorted(ours)) or "none"
    if name is None:
        there = await _claim(client, *claim.partition("/")[::2])
        name = class_of(there) if there else next(iter(ours)) if len(ours) == 1 else None
    if name is None:
        raise UsageError(f"say with --class which StorageClass it shall have: Sutler's are {known}")
    if name not in ours:
        raise RefusedError(f"StorageClass {name} is not Sutler's: its are {known}")
    return ours[name]


async def adopt(client: Client, wish: AdoptOptions) -> AdoptResult:
    wanted = wish.wanted
    if wish.access_mode not in _ACCESS_MODES:
        raise UsageError(f"--access-mode {wish.access_mode!r} is not one of {', '.join(_ACCESS_MODES)}")
    if wish.access_mode == "ReadWriteMany" and not wish.block:
        raise UsageError("--access-mode ReadWriteMany would destroy the filesystem of an RBD image: add --block")
    await _class(client, wanted.key, wanted.storage_class)
    claim = await _claim(client, wanted.namespace, wanted.claim)
    if claim is not None and class_of(claim) != wanted.storage_class:
        raise RefusedError(
            f"claim {wanted.key} is of class {class_of(claim) or '(none)'}, not {wanted.storage_class}: delete it first"
        )
    body = render(wanted)
    try:
        request = await client.create(PERSISTENT_VOLUMES, body)
    except AlreadyExists:
        name = body["metadata"]["name"]
        raise RefusedError(
            f"an image is being adopted for claim {wanted.key} already; to stop that: kubectl delete pv {name}"
        ) from None
    made: list[Json] = []
    try:
        return await _follow(client, wish, request, made)
    except BaseException:
        await _take_back(client, request, made)
        raise


async def _follow(client: Client, wish: AdoptOptions, request: Json, made: list[Json]) -> AdoptResult:
    """`made`: gets the claim, if it has to be made."""
    wanted, said = wish.wanted, ""
    ends = time.monotonic() + wish.timeout
    while True:
        found = await _get(client, request)
        if found is None:
            return await _done(client, wanted)
        state, message = parse_outcome(found)
        if state is AdoptionState.REFUSED:
            raise RefusedError(message)
        if state is AdoptionState.CHECKED and wish.create_claim:
            made += await _create_claim(client, wish, found)
        elif message and message != said:
            complain(f"{state}: {message}")
            said = message
        if time.monotonic() > ends:
            what = message or "nobody has looked at the request: does sutler-volumes run?"
            raise RefusedError(f"given up after {wish.timeout:g} s: {what}")
        await asyncio.sleep(_PAUSE)


async def _create_claim(client: Client, wish: AdoptOptions, request: Json) -> list[Json]:
    """The claim, if it was not there."""
    wanted = wish.wanted
    if await _claim(client, wanted.namespace, wanted.claim) is not None:
        return []
    size = int(request["metadata"]["annotations"][well_known.ADOPTED_SIZE])
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": wanted.claim, "namespace": wanted.namespace},
        "spec": {
            "accessModes": [wish.access_mode],
            "volumeMode": "Block" if wish.block else "Filesystem",
            "resources": {"requests": {"storage": str(of_bytes(size))}},
            "storageClassName": wanted.storage_class,
        },
    }
    try:
        made = await client.create(PERSISTENT_VOLUME_CLAIMS, body)
    except AlreadyExists:
        return []
    complain(f"Claim {wanted.key} did not exist: made, {of_bytes(size)}")
    return [made]


async def _done(client: Client, wanted: AdoptionRequest) -> AdoptResult:
    claim = await _claim(client, wanted.namespace, wanted.claim)
    volume_name = (claim or {}).get("spec", {}).get("volumeName")
    try:
        volume = await client.get(PERSISTENT_VOLUMES, volume_name) if volume_name else None
    except NotFound:
        volume = None
    place = location_of(volume) if volume else None
    if volume is None or place is None or (wanted.image and place.path != wanted.image):
        raise RefusedError(f"the request was taken back before claim {wanted.key} had its volume")
    return AdoptResult(wanted.key, volume_name, place.path, volume["spec"]["capacity"]["storage"])


async def _take_back(client: Client, request: Json, made: list[Json]) -> None:
    """Unless the volume is made already: then the controller ends what it has begun.

    The claim that was made goes first: without the request it would get a new, empty volume.
    """
    found = await _get(client, request)
    if found is None or parse_outcome(found)[0] is AdoptionState.BINDING:
        return
    for claim in made:
        await _take_claim_back(client, claim)
    ends = time.monotonic() + _PATIENCE
    while (found := await _get(client, request)) is not None and time.monotonic() < ends:
        if parse_outcome(found)[0] is not AdoptionState.BINDING:
            await client.delete(PERSISTENT_VOLUMES, found["metadata"]["name"], uid=found["metadata"]["uid"])
            return
        # The volume was made at this very moment. Its claim is gone: the controller takes it back.
        await asyncio.sleep(_PAUSE)


async def _take_claim_back(client: Client, claim: Json) -> None:
    name, namespace, uid = (claim["metadata"][key] for key in ("name", "namespace", "uid"))
    found = await _claim(client, namespace, name)
    if found is None or found["metadata"]["uid"] != uid or found["spec"].get("volumeName"):
        return
    with contextlib.suppress(NotFound):
        await client.delete(PERSISTENT_VOLUME_CLAIMS, name, namespace, uid=uid)
        complain(f"Claim {namespace}/{name} was made for the image: deleted again")


async def _get(client: Client, request: Json) -> Json | None:
    try:
        found = await client.get(PERSISTENT_VOLUMES, request["metadata"]["name"])
    except NotFound:
        return None
    return found if found["metadata"]["uid"] == request["metadata"]["uid"] else None


async def _claim(client: Client, namespace: str, name: str) -> Json | None:
    try:
        return await client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
    except NotFound:
        return None
