"""Copies in their wire form: what is cached of them, and the requests that create and correct them. Pure: no I/O."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from provisioner.secrets.planning.copy_metadata import is_intact, metadata_patch, parse_record, pointer
from sutler import well_known
from sutler.typedefs import Json

SELECTOR = f"{well_known.MANAGED_BY}={well_known.MANAGER},{well_known.MAPPING}"


@dataclass(frozen=True)
class CopyContent:
    """The content of every copy of one mapping: one data entry."""

    type: str
    key: str
    value: bytes = field(repr=False)
    metadata: str = ""
    """The record of the labels and annotations that its mapping puts on it."""

    @cached_property
    def data(self) -> dict[str, str]:
        return {self.key: base64.b64encode(self.value).decode()}

    @cached_property
    def fingerprint(self) -> bytes:
        return fingerprint(self.data)


@dataclass(frozen=True, slots=True)
class SecretCopy:
    """What is cached of a Secret with Sutler's labels. Twenty thousand must fit; none holds a credential."""

    mapping: str
    uid: str
    version: str
    type: str
    fingerprint: bytes
    immutable: bool
    annotated: bool
    placed: bool
    """Whether its annotation well_known.COPY is its own `namespace/name`."""
    foreign: bool
    """Whether it is not Sutler's: it lacks the labels, or its annotation has another place."""
    metadata: str = ""
    """The record of the labels and annotations that the mapping put on it."""
    intact: bool = True
    """Whether all of these still exist."""
    finalizers: tuple[str, ...] | None = None
    """The finalizers of a Secret that is being deleted; None of any other."""


def copy_from_secret(secret: Json) -> SecretCopy:
    metadata = secret["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    place = f"{metadata['namespace']}/{metadata['name']}"
    return SecretCopy(
        mapping=labels.get(well_known.MAPPING, ""),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        type=secret.get("type", ""),
        fingerprint=fingerprint(secret.get("data") or {}),
        immutable=bool(secret.get("immutable")),
        annotated=bool(annotations),
        placed=annotations.get(well_known.COPY) == place,
        foreign=labels.get(well_known.MANAGED_BY) != well_known.MANAGER
        or not labels.get(well_known.MAPPING)
        or annotations.get(well_known.COPY, place) != place,
        metadata=annotations.get(well_known.COPY_METADATA, ""),
        intact=is_intact(annotations.get(well_known.COPY_METADATA, ""), labels, annotations),
        finalizers=tuple(metadata.get("finalizers") or ()) if "deletionTimestamp" in metadata else None,
    )


def fingerprint(data: Mapping[str, str]) -> bytes:
    """A hash of the `data` of a Secret as the API has it."""
    return hashlib.blake2b(msgspec.json.encode(data, order="sorted"), digest_size=16).digest()


def copy_body(target: str, mapping: str, content: CopyContent) -> Json:
    """The Secret to create. The same input gives the same bytes."""
    namespace, name = target.split("/")
    extra = parse_record(content.metadata)
    record = {well_known.COPY_METADATA: content.metadata} if content.metadata else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                **extra.get("labels", {}),
                well_known.MANAGED_BY: well_known.MANAGER,
                well_known.MAPPING: mapping,
            },
            "annotations": {**extra.get("annotations", {}), **record, well_known.COPY: target},
        },
        "type": content.type,
        "data": content.data,
    }


def copy_patch(target: str, mapping: str, content: CopyContent, copy: SecretCopy) -> list[Json]:
    """The JSON Patch that corrects a copy. Labels and annotations of other owners stay.

    With the version, the API server responds with Conflict if the copy has changed since it was read.
    """
    operations: list[Json] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": copy.version},
        {"op": "add", "path": f"/metadata/labels/{pointer(well_known.MAPPING)}", "value": mapping},
        {"op": "add", "path": "/data", "value": content.data},
    ]
    if not copy.annotated:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {well_known.COPY: target}})
    elif not copy.placed:
        operations.append({"op": "add", "path": f"/metadata/annotations/{pointer(well_known.COPY)}", "value": target})
    if (copy.metadata, copy.intact) != (content.metadata, True):
        operations += metadata_patch(copy.metadata, content.metadata)
    return operations
