"""Requests the adoption of an image from the volumes controller, and waits for it."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from sutler import well_known
from sutler.cli.exit_codes import RefusedError, UsageError
from sutler.cli.output import print_error
from sutler.cli.volumes.adopt_options import AdoptOptions
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, NotFound
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sutler.quantity import of_bytes
from sutler.typedefs import Json
from sutler.volumes.adoption_request import AdoptionRequest, AdoptionState, parse_outcome, render
from sutler.volumes.locations import location_of, parse_location
from sutler.volumes.served_classes import FILESYSTEMS, class_of, is_sutler_class, pool_location

_POLL_SECONDS = 0.5
_WITHDRAW_SECONDS = 15.0
"""Time in which the controller deletes a volume that it has just created."""
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany")


@dataclass(frozen=True)
class AdoptResult:
    """An adopted image and its volume and claim."""

    claim: str
    volume: str
    image: str
    size: str

    def as_json(self) -> Json:
        return {"claim": self.claim, "volume": self.volume, "image": self.image, "size": self.size}

    def as_text(self) -> str:
        return f"Claim {self.claim} has volume {self.volume}: image {self.image}, {self.size}."


def adoption_request(claim: str, storage_class: str, **more: str) -> AdoptionRequest:
    """A request by a claim's NAMESPACE/NAME and fields of AdoptionRequest. Raises UsageError."""
    namespace, _, name = claim.partition("/")
    if not namespace or not name or "/" in name:
        raise UsageError(f"claim {claim!r} is not NAMESPACE/NAME")
    image, filesystem = more.get("image", ""), more.get("filesystem", "")
    if image and parse_location("", image) is None:
        raise UsageError(f"{image!r} is not POOL/IMAGE or POOL/NAMESPACE/IMAGE")
    if filesystem and filesystem not in FILESYSTEMS:
        raise UsageError(f"--fstype {filesystem!r} is not one of {', '.join(FILESYSTEMS)}")
    return AdoptionRequest(namespace=namespace, claim=name, storage_class=storage_class, **more)


async def restore_request(
    client: Client, claim: str, storage_class: str | None, *, identifier: str, source: str, filesystem: str
) -> AdoptionRequest:
    """A request to restore an image from the trash. Raises UsageError and RefusedError."""
    cls = await _get_class(client, claim, storage_class)
    return adoption_request(
        claim,
        cls["metadata"]["name"],
        restore_from=source or pool_location(cls).path,
        restore_id=identifier,
        filesystem=filesystem,
    )


async def _get_class(client: Client, claim: str, name: str | None) -> Json:
    own = {cls["metadata"]["name"]: cls for cls in await client.list(STORAGE_CLASSES) if is_sutler_class(cls)}
    known = ", ".join(sorted(own)) or "none"
    if name is None:
        existing = await _get_claim(client, *claim.partition("/")[::2])
        name = class_of(existing) if existing else next(iter(own)) if len(own) == 1 else None
    if name is None:
        raise UsageError(f"select a StorageClass with --class; Sutler's classes are {known}")
    if name not in own:
        raise RefusedError(f"StorageClass {name} is not Sutler's; Sutler's classes are {known}")
    return own[name]


async def adopt(client: Client, request: AdoptionRequest, options: AdoptOptions) -> AdoptResult:
    """Raises UsageError and RefusedError. If it fails or is cancelled, it withdraws the request."""
    if options.access_mode not in _ACCESS_MODES:
        raise UsageError(f"--access-mode {options.access_mode!r} is not one of {', '.join(_ACCESS_MODES)}")
    if options.access_mode == "ReadWriteMany" and not options.block:
        raise UsageError("--access-mode ReadWriteMany would destroy the filesystem of an RBD image; add --block")
    await _get_class(client, request.key, request.storage_class)
    claim = await _get_claim(client, request.namespace, request.claim)
    if claim is not None and class_of(claim) != request.storage_class:
        raise RefusedError(
            f"claim {request.key} has class {class_of(claim) or '(none)'}, not {request.storage_class}: "
            "delete the claim first"
        )
    body = render(request)
    try:
        volume = await client.create(PERSISTENT_VOLUMES, body)
    except AlreadyExists:
        name = body["metadata"]["name"]
        raise RefusedError(
            f"an image is already being adopted for claim {request.key}; to cancel that: kubectl delete pv {name}"
        ) from None
    created: list[Json] = []
    try:
        return await _follow(client, request, options, volume, created)
    except BaseException:
        await _withdraw(client, volume, created)
        raise


async def _follow(
    client: Client, request: AdoptionRequest, options: AdoptOptions, volume: Json, created: list[Json]
) -> AdoptResult:
    """Waits until the request is done. Appends the claim to `created` if this creates it."""
    shown = ""
    ends = time.monotonic() + options.timeout
    while True:
        found = await _get_request(client, volume)
        if found is None:
            return await _result(client, request)
        state, message = parse_outcome(found)
        if state is AdoptionState.REFUSED:
            raise RefusedError(message)
        if state is AdoptionState.CHECKED and options.create_claim:
            created += await _create_claim(client, request, options, found)
        elif message and message != shown:
            print_error(f"{state}: {message}")
            shown = message
        if time.monotonic() > ends:
            why = message or "the volumes controller has not processed the request: check that sutler-volumes runs"
            raise RefusedError(f"timed out after {options.timeout:g} s: {why}")
        await asyncio.sleep(_POLL_SECONDS)


async def _create_claim(client: Client, request: AdoptionRequest, options: AdoptOptions, volume: Json) -> list[Json]:
    """The claim if this creates it, else nothing."""
    if await _get_claim(client, request.namespace, request.claim) is not None:
        return []
    size = int(volume["metadata"]["annotations"][well_known.ADOPTED_SIZE])
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": request.claim, "namespace": request.namespace},
        "spec": {
            "accessModes": [options.access_mode],
            "volumeMode": "Block" if options.block else "Filesystem",
            "resources": {"requests": {"storage": str(of_bytes(size))}},
            "storageClassName": request.storage_class,
        },
    }
    try:
        claim = await client.create(PERSISTENT_VOLUME_CLAIMS, body)
    except AlreadyExists:
        return []
    print_error(f"Created claim {request.key}, {of_bytes(size)}")
    return [claim]


async def _result(client: Client, request: AdoptionRequest) -> AdoptResult:
    claim = await _get_claim(client, request.namespace, request.claim)
    volume_name = (claim or {}).get("spec", {}).get("volumeName")
    try:
        volume = await client.get(PERSISTENT_VOLUMES, volume_name) if volume_name else None
    except NotFound:
        volume = None
    place = location_of(volume) if volume else None
    if volume is None or place is None or (request.image and place.path != request.image):
        raise RefusedError(f"the request was withdrawn before claim {request.key} had its volume")
    return AdoptResult(request.key, volume_name, place.path, volume["spec"]["capacity"]["storage"])


async def _withdraw(client: Client, volume: Json, created: list[Json]) -> None:
    """Deletes the request, unless its volume exists: the controller then completes the adoption.

    The created claim is deleted first: without the request it would get a new, empty volume.
    """
    found = await _get_request(client, volume)
    if found is None or parse_outcome(found)[0] is AdoptionState.BINDING:
        return
    for claim in created:
        await _delete_claim(client, claim)
    ends = time.monotonic() + _WITHDRAW_SECONDS
    while (found := await _get_request(client, volume)) is not None and time.monotonic() < ends:
        if parse_outcome(found)[0] is not AdoptionState.BINDING:
            await client.delete(PERSISTENT_VOLUMES, found["metadata"]["name"], uid=found["metadata"]["uid"])
            return
        # The volume was created just now. Its claim is deleted, so the controller deletes it.
        await asyncio.sleep(_POLL_SECONDS)


async def _delete_claim(client: Client, claim: Json) -> None:
    name, namespace, uid = (claim["metadata"][key] for key in ("name", "namespace", "uid"))
    found = await _get_claim(client, namespace, name)
    if found is None or found["metadata"]["uid"] != uid or found["spec"].get("volumeName"):
        return
    with contextlib.suppress(NotFound):
        await client.delete(PERSISTENT_VOLUME_CLAIMS, name, namespace, uid=uid)
        print_error(f"Deleted claim {namespace}/{name}, which was created for the image")


async def _get_request(client: Client, volume: Json) -> Json | None:
    """The request, or None if it is done or deleted."""
    try:
        found = await client.get(PERSISTENT_VOLUMES, volume["metadata"]["name"])
    except NotFound:
        return None
    return found if found["metadata"]["uid"] == volume["metadata"]["uid"] else None


async def _get_claim(client: Client, namespace: str, name: str) -> Json | None:
    try:
        return await client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
    except NotFound:
        return None
