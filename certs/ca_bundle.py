"""Tells the API server which CA to trust: caBundle in every webhook of one MutatingWebhookConfiguration."""

import base64
from enum import Enum, auto

from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS
from sutler.typedefs import Json


class PublishedBundle(Enum):
    SEEN = auto()
    """It was there already."""
    WRITTEN = auto()
    """It has been put there just now; an API server may need a moment to use it."""
    ABSENT = auto()
    """There is no such configuration: nobody calls the webhook."""


async def publish(client: Client, configuration: str, bundle: bytes) -> PublishedBundle:
    """Makes `bundle` the caBundle of all the configuration's webhooks, and changes nothing else of it."""
    try:
        found = await client.get(MUTATING_WEBHOOK_CONFIGURATIONS, configuration)
    except NotFound:
        return PublishedBundle.ABSENT
    operations = bundle_patch(found, bundle)
    if not operations:
        return PublishedBundle.SEEN
    await client.json_patch(MUTATING_WEBHOOK_CONFIGURATIONS, configuration, operations)
    return PublishedBundle.WRITTEN


def bundle_patch(configuration: Json, bundle: bytes) -> list[Json]:
    """The JSON Patch that is needed; empty if none is. A configuration that changes in between makes it a Conflict."""
    encoded = base64.b64encode(bundle).decode()
    changes: list[Json] = [
        {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": encoded}
        for index, webhook in enumerate(configuration.get("webhooks") or [])
        if webhook["clientConfig"].get("caBundle") != encoded
    ]
    if not changes:
        return []
    version = configuration["metadata"]["resourceVersion"]
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, *changes]
