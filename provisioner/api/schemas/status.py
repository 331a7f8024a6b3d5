"""Responses about the status of Ceph and of Sutler's controllers."""

from provisioner.api.schemas.fields import ResponseModel, Timestamp


class CephStatus(ResponseModel):
    connected: bool
    status: str
    """`ok`, `degraded` (some pools do not answer) or `down`"""
    fsid: str | None
    health: str | None
    """Ceph's own status, such as `HEALTH_OK`."""
    reason: str | None
    silent_pools: list[str]
    """Pools that do not answer."""
    looked: Timestamp
    """Time of the last check."""


class StatusResponse(ResponseModel):
    user: str
    """Name of the authenticated user."""
    ceph: CephStatus


class MappingStatus(ResponseModel):
    name: str
    registries: list[str]
    secret: str
    mode: str
    ready: str
    """`True`, `False` or `Unknown`"""
    reason: str
    message: str
    selected: int | None
    """Number of selected namespaces."""
    synced: int | None
    """Number of selected namespaces whose copy is up to date."""
    current: bool
    """The status is of the present generation of the mapping."""


class ControllerStatus(ResponseModel):
    name: str
    holder: str | None
    """The process that holds the lease."""
    renewed: Timestamp | None
    working: bool


class KubernetesStatus(ResponseModel):
    connected: bool
    mappings: list[MappingStatus]
    controllers: list[ControllerStatus]
