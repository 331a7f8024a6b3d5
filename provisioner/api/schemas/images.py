"""Requests and responses about images."""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import Field, computed_field, model_validator

from provisioner.api.schemas.common import Forced, Paged
from provisioner.api.schemas.fields import (
    MOST_OBJECTS,
    AnyName,
    Namespace,
    NewName,
    RequestModel,
    ResponseModel,
    Size,
    Timestamp,
    quantity_text,
)
from provisioner.api.schemas.layout import Layout
from provisioner.api.schemas.snapshots import OtherSnapshotResponse, SnapshotResponse
from provisioner.ceph.directory import DirectoryEntry
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import explain, operation_of
from sutler import well_known
from sutler.volumes.parking import parse_parked

_LONGEST_DELAY = 10 * 365 * 24 * 3600
IsRunning = Callable[[str], bool]
"""Tells whether this process runs the operation with this identifier."""
INCOMPLETE = "its creation or removal was interrupted; delete it or create it again"


class ImageCreate(Layout):
    name: NewName
    size: Size

    @model_validator(mode="after")
    def _countable(self) -> Self:
        objects = -(-self.size // self.bytes_of_object)
        if objects > MOST_OBJECTS:
            raise ValueError(
                f"{self.size} bytes are {objects} objects of {self.bytes_of_object}: at most {MOST_OBJECTS} are "
                "possible; choose larger objects or a smaller image"
            )
        return self


class ImageUpdate(RequestModel):
    """A new size, a new name, or both."""

    size: Size | None = None
    shrink: bool = False
    """Required to shrink the image: the data behind the new end is destroyed."""
    name: NewName | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.size is None and self.name is None:
            raise ValueError("give size, name or both")
        if self.shrink and self.size is None:
            raise ValueError("shrink needs a size")
        return self


class CloneCreate(Layout):
    name: NewName
    pool: Annotated[AnyName | None, Field(description="Pool of the clone; default: the parent's.")] = None
    namespace: Annotated[
        Namespace | None,
        Field(
            description="RADOS namespace of the clone; default: the parent's in the same pool, else the default one."
        ),
    ] = None


class ImageListQuery(Paged):
    prefix: Annotated[
        str,
        Field(
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="Only images whose names begin with this: up to 255 characters, none a control character.",
        ),
    ] = ""


class ImageDelete(Forced):
    trash: bool = False
    """Move the image to the trash, where it can be restored, instead of deleting it."""
    delay: Annotated[
        int,
        Field(
            ge=0,
            le=_LONGEST_DELAY,
            description="Seconds for which the image in the trash cannot be purged; only with `trash`.",
        ),
    ] = 0


class ClaimResponse(ResponseModel):
    """The PersistentVolumeClaim of an image, according to the image's metadata."""

    namespace: str | None
    name: str | None
    uid: str | None
    volume: str | None
    """Name of the PersistentVolume."""


class ParkedResponse(ResponseModel):
    """The claim of the image is deleted, and snapshots or clones need the image. Sutler deletes it after the last."""

    trash_delay: int | None
    """Seconds for which the image is kept in the trash then; null: it is deleted without the trash."""


class MirroringResponse(ResponseModel):
    mode: str
    """`journal` or `snapshot`."""
    state: str
    """`enabled`, or `disabling` until it ends."""
    primary: bool
    """False: only mirroring changes the image. It cannot be resized or deleted here."""


def _parked_of(header: ImageHeader, pool: int) -> ParkedResponse | None:
    found = parse_parked(header.metadata, pool, header.id)
    return ParkedResponse(trash_delay=found.trash_delay) if found is not None else None


def claim_of(header: ImageHeader) -> ClaimResponse | None:
    """The claim of the image; None if its metadata names none."""
    keys = (
        well_known.METADATA_NAMESPACE,
        well_known.METADATA_CLAIM,
        well_known.OWNER,
        well_known.METADATA_VOLUME,
    )
    values = [header.metadata.get(key) for key in keys]
    if not any(values):
        return None
    return ClaimResponse(namespace=values[0], name=values[1], uid=values[2], volume=values[3])


class ImageResponse(ResponseModel):
    name: str
    pool: str
    namespace: str
    id: str
    version: str | None
    """The ETag: changes with every field except `used`."""
    size: int | None
    """Bytes. Null, like the other fields, for a name without an image."""
    used: int | None
    """Bytes of the objects that exist; null without a valid object map (feature `object-map`)."""
    object_size: int | None
    order: int | None
    features: list[str]
    stripe_unit: int | None
    stripe_count: int | None
    data_pool: str | None
    created: Timestamp | None
    snapshot_count: int
    is_clone: bool
    claim: ClaimResponse | None
    """Not null: resizing, renaming, rolling back and deleting need `force`."""
    parked: ParkedResponse | None
    """Not null: `claim` is the former claim."""
    unfinished: str | None
    """The operation that changes the image, or the interrupted work on it and the way out."""

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorators on properties
    @property
    def size_quantity(self) -> str | None:
        return None if self.size is None else quantity_text(self.size)

    @classmethod
    def of(
        cls, entry: DirectoryEntry, pool: tuple[str, int], namespace: str, data_pool: str | None, running: IsRunning
    ) -> Self:
        """`pool`: its name and its id."""
        return cls.model_validate(image_fields(entry, pool, namespace, data_pool, running=running))


def describe_unfinished(header: ImageHeader, running: IsRunning) -> str | None:
    """The running or interrupted work on the image, in words; None if there is none."""
    operation = operation_of(header)
    return f"operation {operation} is running" if operation and running(operation) else explain(header)


def image_fields(
    entry: DirectoryEntry, where: tuple[str, int], namespace: str, data_pool: str | None, *, running: IsRunning
) -> dict[str, object]:
    """`where`: name and id of the pool."""
    header, (pool, number) = entry.header, where
    if header is None:
        absent = ("version", "size", "used", "object_size", "order", "stripe_unit", "stripe_count", "created")
        return dict.fromkeys(absent) | {
            "claim": None, "parked": None,
            "name": entry.name, "pool": pool, "namespace": namespace, "id": entry.id, "features": [],
            "data_pool": None, "snapshot_count": 0, "is_clone": False, "unfinished": INCOMPLETE,
        }  # fmt: skip
    return {
        "name": entry.name,
        "pool": pool,
        "namespace": namespace,
        "id": header.id,
        "version": header.version,
        "size": header.size,
        "used": entry.used,
        "object_size": header.object_size,
        "order": header.order,
        "features": list(header.features),
        "stripe_unit": header.stripe_unit,
        "stripe_count": header.stripe_count,
        "data_pool": data_pool,
        "created": header.created,
        "snapshot_count": header.snapshots,
        "is_clone": header.is_clone,
        "claim": claim_of(header),
        "parked": _parked_of(header, number),
        "unfinished": describe_unfinished(header, running),
    }


class ImageList(ResponseModel):
    images: list[ImageResponse]
    next_cursor: str | None
    """Null on the last page."""


class ImageDetails(ImageResponse):
    watchers: list[str]
    """Addresses of the clients that have the image open."""
    snapshots: list[SnapshotResponse]
    """Snapshots of users."""
    other_snapshots: list[OtherSnapshotResponse]
    parent: str | None
    """The parent of a clone, as pool/[namespace/]image@snapshot."""
    mirroring: MirroringResponse | None
    """Null: the image is not mirrored."""
    metadata: dict[str, str]
