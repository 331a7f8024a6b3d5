"""The request to adopt an existing image as a claim's volume. Pure: no I/O.

The request is a PersistentVolume, because storage administrators may create those and application teams may not: an
annotation on a claim would give anyone access to any image. Nothing can use the request as a volume. Its claimRef has a
UID that no claim has, so Kubernetes never binds it, and its driver does not exist. The controller checks the image,
creates the real volume and deletes the request. Until the adoption is complete, deleting the request cancels it and
deletes nothing else.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from sutler import well_known
from sutler.errors import SutlerError
from sutler.typedefs import Json
from sutler.volumes.locations import PATH_PART, ImageLocation, parse_location
from sutler.volumes.served_classes import FILESYSTEMS

DRIVER = "adopt.sutler.dev"
UNBOUND_UID = "waits-for-adoption"
"""The UID in the claimRef of a request: no claim has it."""
_LONGEST_NAME = 63
_POOL_PATH = re.compile(rf"{PATH_PART.pattern}(/{PATH_PART.pattern})?")


class RequestError(SutlerError):
    """The PersistentVolume is not a valid request; the message says why."""


class AdoptionState(StrEnum):
    """The progress of an adoption, as the request's annotation shows it."""

    CHECKED = "Checked"
    """The image can be adopted, and the claim does not exist yet."""
    WAITING = "Waiting"
    """An obstacle blocks the adoption, and it may disappear by itself."""
    REFUSED = "Refused"
    """An obstacle blocks the adoption until the user removes it."""
    BINDING = "Binding"
    """The volume exists, and Kubernetes has not bound it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionRequest:
    namespace: str
    claim: str
    """The claim's name."""
    storage_class: str
    image: str = ""
    """pool/[namespace/]image; empty: the controller finds the image in the trash."""
    restore_from: str = ""
    """pool[/namespace] of the trash that has the image; empty: the image is not in the trash."""
    restore_id: str = ""
    """The image's id in the trash; empty: the latest image that was the claim's."""
    filesystem: str = ""
    """The filesystem on the image; empty: the class's."""

    @property
    def key(self) -> str:
        """namespace/name of the claim."""
        return f"{self.namespace}/{self.claim}"

    def location(self, cluster: str) -> ImageLocation | None:
        return parse_location(cluster, self.image)


def request_name(key: str) -> str:
    """Returns the request's name, one per claim: the API server rejects a second request for the claim."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9-]", "-", key)[: _LONGEST_NAME - 16]
    return f"adopt-{readable}-{digest}"


def render(request: AdoptionRequest) -> Json:
    annotations = {
        well_known.ADOPT: request.image,
        well_known.RESTORE_FROM: request.restore_from,
        well_known.RESTORE_ID: request.restore_id,
        well_known.FILESYSTEM: request.filesystem,
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": request_name(request.key),
            "annotations": {name: value for name, value in annotations.items() if value},
        },
        "spec": {
            # The size is not known yet, and a volume must have one.
            "capacity": {"storage": "1"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": request.storage_class,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": request.namespace,
                "name": request.claim,
                "uid": UNBOUND_UID,
            },
            "csi": {"driver": DRIVER, "volumeHandle": request_name(request.key)},
        },
    }


def claim_key(volume: Json) -> str:
    """Returns namespace/name of the claim that a request names; empty for a volume that is no request."""
    annotations = volume["metadata"].get("annotations") or {}
    if well_known.ADOPT not in annotations and well_known.RESTORE_FROM not in annotations:
        return ""
    reference = volume["spec"].get("claimRef") or {}
    # A volume that could be bound is never treated as a request: the image would have two volumes.
    if reference.get("uid") != UNBOUND_UID or (volume["spec"].get("csi") or {}).get("driver") != DRIVER:
        return ""
    return f"{reference.get('namespace')}/{reference.get('name')}"


def parse_request(volume: Json) -> AdoptionRequest:
    """Raises RequestError if the volume is not a valid request."""
    annotations = volume["metadata"].get("annotations") or {}
    key = claim_key(volume)
    if not key:
        raise RequestError("the PersistentVolume is not an adoption request: create one with sutler volumes adopt")
    filesystem = annotations.get(well_known.FILESYSTEM, "")
    if filesystem and filesystem not in FILESYSTEMS:
        raise RequestError(f"annotation {well_known.FILESYSTEM}: {filesystem!r} is not one of {', '.join(FILESYSTEMS)}")
    image, source = annotations.get(well_known.ADOPT, ""), annotations.get(well_known.RESTORE_FROM, "")
    if image and parse_location("", image) is None:
        raise RequestError(f"annotation {well_known.ADOPT}: {image!r} is not pool/image or pool/namespace/image")
    if source and not _POOL_PATH.fullmatch(source):
        raise RequestError(f"annotation {well_known.RESTORE_FROM}: {source!r} is not pool or pool/namespace")
    namespace, _, claim = key.partition("/")
    return AdoptionRequest(
        namespace=namespace,
        claim=claim,
        storage_class=volume["spec"].get("storageClassName", ""),
        image=image,
        restore_from=source,
        restore_id=annotations.get(well_known.RESTORE_ID, ""),
        filesystem=filesystem,
    )


def parse_outcome(volume: Json) -> tuple[AdoptionState | None, str]:
    """Returns the state that the controller has recorded and its message; None if it has recorded none yet."""
    text = (volume["metadata"].get("annotations") or {}).get(well_known.ADOPTION, "")
    word, _, message = text.partition(": ")
    return (AdoptionState(word), message) if word in set(AdoptionState) else (None, "")
