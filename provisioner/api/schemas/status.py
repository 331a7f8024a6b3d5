from provisioner.api.schemas.fields import ResponseModel, Timestamp


class CephStatus(ResponseModel):
    connected: bool
    status: str
    """`ok`, `degraded` (some pools do not answer) or `down`"""
    fsid: str | None
    health: str | None
    """Ceph's own word: `HEALTH_OK`."""
    reason: str | None
    silent_pools: list[str]
    """Pools that do not answer."""
    looked: Timestamp
    """When it was last asked."""


class StatusResponse(ResponseModel):
    user: str
    """Who you are."""
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
    """Namespaces that it selects."""
    synced: int | None
    """Those of them that have what they should."""
    current: bool
    """What is said here is of the mapping as it is now."""


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
