"""Requests and responses about pools."""

from dataclasses import asdict
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
    int, Field(ge=1, le=_MOST_PGS, description=f"1 to {_MOST_PGS}; default: Ceph's."), WHOLE_NUMBER
]
Copies = Annotated[int, Field(ge=1, le=10, description="Copies of the data, 1 to 10; default: Ceph's."), WHOLE_NUMBER]


class Quota(RequestModel):
    """The quota of a new pool. Default: no limit."""

    bytes: Size | None = None
    objects: Objects | None = None


class PoolCreate(RequestModel):
    name: NewName
    pg_num: PlacementGroups | None = None
    autoscale: Literal["on", "off", "warn"] | None = None
    """Whether Ceph adjusts the number of placement groups: `on`, `off` or `warn`; default: Ceph's."""
    replicas: Copies | None = None
    quota: Quota = Quota()


class QuotaUpdate(RequestModel):
    """0 removes a limit. A field that is left out stays unchanged."""

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
    """The name of the pool once more, since everything in it is destroyed."""
    force: bool = False
    """Delete the pool although it is not proven to be empty. Needs the permission `force` on pools."""


class QuotaResponse(ResponseModel):
    bytes: int | None
    objects: int | None


class PoolResponse(ResponseModel):
    name: str
    id: int
    type: str
    """`replicated` or `erasure`"""
    replicas: int
    """Copies; chunks in a pool with erasure coding."""
    min_replicas: int
    pg_num: int
    autoscale: str
    applications: list[str]
    """Has `rbd` if the pool was made for images."""
    quota: QuotaResponse
    stored: int
    """Bytes that clients have written."""
    used: int
    """Bytes on disks, all copies."""
    objects: int
    free: int
    """Bytes that clients can still write."""
    measured: bool
    """Whether Ceph has statistics of the pool, which takes some seconds for a new one. Until then they are 0."""

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorators on properties
    @property
    def free_quantity(self) -> str:
        return quantity_text(self.free)

    @classmethod
    def of(cls, pool: PoolInfo) -> Self:
        quota = QuotaResponse(bytes=pool.quota_bytes, objects=pool.quota_objects)
        return cls.model_validate(asdict(pool) | {"type": pool.kind, "quota": quota})


class PoolList(ResponseModel):
    pools: list[PoolResponse]


class NamespaceList(ResponseModel):
    namespaces: list[str]
    """Without the default namespace, which has no name."""
