"""Reads what the VolumeAttributesClass of a new claim requests."""

from dataclasses import replace

from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning.attributes_class import parse_attributes_class
from provisioner.volumes.planning.claims import ClaimRequest


async def with_attributes(context: LeaderContext, request: ClaimRequest) -> ClaimRequest:
    """Returns the request with the attributes of its class, if it names one. Raises AttributesClassError."""
    name = request.attributes_class
    if not name:
        return request
    return replace(request, attributes=parse_attributes_class(name, await context.get_attributes_class(name)))
