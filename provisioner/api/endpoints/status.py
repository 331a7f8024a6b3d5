"""Endpoints that show the health of Ceph, the registry mappings and the controllers."""

import asyncio
from datetime import UTC, datetime

from provisioner.api.authorization import Permission
from provisioner.api.ceph_health import CephHealth
from provisioner.api.endpoint import EndpointResult, RequestContext, Result, endpoint
from provisioner.api.schemas.status import CephStatus, ControllerStatus, KubernetesStatus, MappingStatus, StatusResponse
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import LEASES, REGISTRY_MAPPINGS
from sutler.registry.mapping import ready_condition
from sutler.typedefs import Json

_CONTROLLERS = ("sutler-secrets", "sutler-volumes")
_MISSED_LEASES = 2.0
"""Lease durations without a renewal after which a controller counts as not working."""


class StatusEndpoints:
    def __init__(self, health: CephHealth, client: Client | None, namespace: str) -> None:
        """`client`: None outside of Kubernetes."""
        self._health = health
        self._client = client
        self._namespace = namespace

    @endpoint("GET", "/status", None, {200: Result("The status, checked every five seconds.", StatusResponse)})
    async def show_status(self, context: RequestContext) -> EndpointResult:
        """Show whether Ceph answers this service, and its health."""
        seen = self._health.current
        ceph = CephStatus(
            connected=seen.problem is None,
            status=seen.status,
            fsid=seen.fsid,
            health=seen.ceph,
            reason=seen.reason,
            silent_pools=list(seen.silent_pools),
            looked=datetime.fromtimestamp(seen.at, UTC),
        )
        return EndpointResult(200, StatusResponse(user=context.user.name, ceph=ceph))

    @endpoint(
        "GET",
        "/kubernetes",
        Permission("registrymappings", "list"),
        {200: Result("Mappings and controllers; empty outside of Kubernetes.", KubernetesStatus)},
    )
    async def show_kubernetes(self) -> EndpointResult:
        """Show the state of the registry mappings and of the provisioner's controllers."""
        if self._client is None:
            return EndpointResult(200, KubernetesStatus(connected=False, mappings=[], controllers=[]))
        leases = await asyncio.gather(*(self._lease(self._client, name) for name in _CONTROLLERS))
        mappings = await self._client.list(REGISTRY_MAPPINGS)
        shown = [_mapping(one) for one in sorted(mappings, key=lambda one: one["metadata"]["name"])]
        return EndpointResult(200, KubernetesStatus(connected=True, mappings=shown, controllers=list(leases)))

    async def _lease(self, client: Client, name: str) -> ControllerStatus:
        try:
            lease = await client.get(LEASES, name, self._namespace)
        except NotFound:
            return ControllerStatus(name=name, holder=None, renewed=None, working=False)
        return _controller(name, lease.get("spec") or {}, datetime.now(UTC))


def _controller(name: str, spec: Json, now: datetime) -> ControllerStatus:
    renewed = datetime.fromisoformat(spec["renewTime"]) if spec.get("renewTime") else None
    patience = (spec.get("leaseDurationSeconds") or 15) * _MISSED_LEASES
    holder = spec.get("holderIdentity") or None
    working = holder is not None and renewed is not None and (now - renewed).total_seconds() < patience
    return ControllerStatus(name=name, holder=holder, renewed=renewed, working=working)


def _mapping(found: Json) -> MappingStatus:
    spec, status = found.get("spec") or {}, found.get("status") or {}
    ready = ready_condition(found)
    namespaces = status.get("namespaces") or {}
    return MappingStatus(
        name=found["metadata"]["name"],
        registries=list(spec.get("registries") or ()),
        secret=(spec.get("pullSecret") or {}).get("name", ""),
        mode=spec.get("mode") or "Inject",
        ready=ready.get("status", "Unknown"),
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        selected=namespaces.get("selected"),
        synced=namespaces.get("synced"),
        current=status.get("observedGeneration") == found["metadata"].get("generation"),
    )
