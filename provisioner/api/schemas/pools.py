from typing import Annotated, Literal, Self

from pydantic import Field, computed_field, model_validator

from provisioner.api.schemas.fields import (
    WHOLE_NUMBER,
    AnyName,
    NewName,
    RequestModel,
    ResponseModel,
    Size,
    SizeOrNone,
    quantity_text,
)
from provisioner.ceph.pool_admin import PoolInfo

_MOST_PGS = 32768

_MOST_OBJECTS = 2**53
Objects = Annotated[int, Field(ge=1, le=_MOST_OBJECTS, description="1 to 2^53."), WHOLE_NUMBER]
ObjectsOrNone = Annotated[int, Field(ge=0, le=_MOST_OBJECTS, description="0 to 2^53."), WHOLE_NUMBER]
PlacementGroups = Annotated[
    int, Field(ge=1, le=_MOST_PGS, description=f"1 to {_MOST_PGS}; left out: Ceph's default."), WHOLE_NUMBER
]
Copies = Annotated[
    int, Field(ge=1, le=10, description="Copies of everything, 1 to 10; left out: Ceph's default."), WHOLE_NUMBER
]


class Quota(RequestModel):
    """What a pool may hold. Left out: no limit, or when changing one: as it was."""

    bytes: Size | None = None
    objects: Objects | None = None


class PoolCreate(RequestModel):
    name: NewName
    pg_num: PlacementGroups | None = None
    autoscale: Literal["on", "off", "warn"] | None = None
    """Whether Ceph adjusts the number of placement groups: `on`, `off` or `warn`; left out: Ceph's default."""
    replicas: Copies | None = None
    quota: Quota = Quota()


class QuotaUpdate(RequestModel):
    """0 takes a limit away, left out leaves it as it is."""

    bytes: SizeOrNone | None = None
    objects: ObjectsOrNone | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.bytes is None and self.objects is None:
            raise ValueError("give bytes, objects or both")
        return self


class PoolUpdate(RequestModel):
    quota: QuotaUpdate


class PoolDelete(RequestModel):
    confirm: AnyName
    """The pool's name once more: all that is in it goes with it."""
    force: bool = False
    """Delete it although something is in it, or though nobody can see what. Needs the right `force` on pools."""


class QuotaResponse(ResponseModel):
    bytes: int | None
    objects: int | None


class PoolResponse(ResponseModel):
    name: str
    id: int
    type: str
    """`replicated` or `erasure`"""
    replicas: int
    """Copies; for erasure coding chunks."""
    min_replicas: int
    pg_num: int
    autoscale: str
    applications: list[str]
    """`rbd` is among them when the pool is made for images."""
    quota: QuotaResponse
    stored: int
    """Bytes that clients have written."""
    used: int
    """Bytes on disks: all copies."""
    objects: int
    free: int
    """Bytes that clients can still write."""
    measured: bool
    """Whether Ceph has statistics of it: of a new pool only after some seconds. Until then they are shown as 0."""

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorators on properties
    @property
    def free_quantity(self) -> str:
        return quantity_text(self.free)

    @classmethod
    def of(cls, pool: PoolInfo) -> Self:
        return cls(
            name=pool.name,
            id=pool.id,
            type=pool.kind,
            replicas=pool.replicas,
            min_replicas=pool.min_replicas,
            pg_num=pool.pg_num,
            autoscale=pool.autoscale,
            applications=list(pool.applications),
            quota=QuotaResponse(bytes=pool.quota_bytes, objects=pool.quota_objects),
            stored=pool.stored,
            used=pool.used,
            objects=pool.objects,
            free=pool.free,
            measured=pool.measured,
        )


class PoolList(ResponseModel):
    pools: list[PoolResponse]


class NamespaceList(ResponseModel):
    namespaces: list[str]
    """The default one, which has no name, is not among them."""
