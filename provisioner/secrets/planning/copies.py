"""A copy as it should be, a copy as it is, and the requests between them. Pure."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from sutler.typedefs import Json

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "sutler"
MAPPING = "sutler.dev/mapping"
PLACE = "sutler.dev/copy"
"""Annotation with the copy's own `namespace/name`. A Secret that bears our labels but the name of another place was
copied on by hand; it belongs to whoever did that."""

SELECTOR = f"{MANAGED_BY}={MANAGER},{MAPPING}"


@dataclass(frozen=True)
class CopyContent:
    """What every copy of one mapping holds: one entry, and its fingerprint."""

    type: str
    key: str
    value: bytes = field(repr=False)

    @cached_property
    def data(self) -> dict[str, str]:
        return {self.key: base64.b64encode(self.value).decode()}

    @cached_property
    def fingerprint(self) -> bytes:
        return fingerprint(self.data)


@dataclass(frozen=True, slots=True)
class SecretCopy:
    """What is remembered of a Secret that bears our labels. Twenty thousand of these must fit; none holds a secret."""

    mapping: str
    uid: str
    version: str
    type: str
    fingerprint: bytes
    immutable: bool
    annotated: bool
    placed: bool
    """Whether its annotation names its own place."""
    foreign: bool
    """Whether it is not ours after all: it lacks the labels, or its annotation names another place."""
    finalizers: tuple[str, ...] | None = None
    """What its deletion waits for; None where it is not being deleted."""


def copy_from_secret(secret: Json) -> SecretCopy:
    metadata = secret["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    place = f"{metadata['namespace']}/{metadata['name']}"
    return SecretCopy(
        mapping=labels.get(MAPPING, ""),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        type=secret.get("type", ""),
        fingerprint=fingerprint(secret.get("data") or {}),
        immutable=bool(secret.get("immutable")),
        annotated=bool(annotations),
        placed=annotations.get(PLACE) == place,
        foreign=labels.get(MANAGED_BY) != MANAGER or not labels.get(MAPPING) or annotations.get(PLACE, place) != place,
        finalizers=tuple(metadata.get("finalizers") or ()) if "deletionTimestamp" in metadata else None,
    )


def fingerprint(data: Mapping[str, str]) -> bytes:
    """Of the whole `data` of a Secret as the API shows it."""
    return hashlib.blake2b(msgspec.json.encode(data, order="sorted"), digest_size=16).digest()


def copy_body(target: str, mapping: str, content: CopyContent) -> Json:
    """A new copy. The same input gives the same bytes."""
    namespace, name = target.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {MANAGED_BY: MANAGER, MAPPING: mapping},
            "annotations": {PLACE: target},
        },
        "type": content.type,
        "data": content.data,
    }


def copy_patch(target: str, mapping: str, content: CopyContent, copy: SecretCopy) -> list[Json]:
    """Mends a copy in place. Other people's labels and annotations on it stay.

    The version makes the API server answer Conflict if the copy changed after we looked.
    """
    operations: list[Json] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": copy.version},
        {"op": "add", "path": f"/metadata/labels/{_pointer(MAPPING)}", "value": mapping},
        {"op": "add", "path": "/data", "value": content.data},
    ]
    if not copy.annotated:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {PLACE: target}})
    elif not copy.placed:
        operations.append({"op": "add", "path": f"/metadata/annotations/{_pointer(PLACE)}", "value": target})
    return operations


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
