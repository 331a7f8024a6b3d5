"""Whether somebody holds a lease now, judged without this machine's clock."""

import asyncio
from datetime import datetime, timedelta

from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import LEASES
from sutler.typedefs import Json

OLD = timedelta(seconds=60)
"""So long after its last renewal, by the API server's clock, surely nobody holds it."""

_AHEAD = timedelta(seconds=5)
_LOOK_EVERY = 1.0
_LONGEST_LOOK = 8
"""Looks, for a holder whose clock differs from the API server's: it renews every two seconds."""


async def look_at(client: Client, name: str, namespace: str) -> Json | None:
    """The Lease, None if there is none. Raises Forbidden.

    Times in it are its holder's. Where one looks old, or not yet come, the Lease is watched for a renewal: that shows
    life whatever the clocks say. It has the API server's time then.
    """
    lease = await _get(client, name, namespace)
    for _ in range(_LONGEST_LOOK):
        if lease is None or not _doubtful(lease, client.now()):
            return lease
        await asyncio.sleep(_LOOK_EVERY)
        again = await _get(client, name, namespace)
        if again and renewed(again) != renewed(lease):
            again["spec"]["renewTime"] = client.now().isoformat()
        lease = again
    return lease


def renewed(lease: Json) -> str:
    return str((lease.get("spec") or {}).get("renewTime") or "")


def _doubtful(lease: Json, now: datetime) -> bool:
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity") or not renewed(lease):
        return False  # given back, or never taken
    return not -_AHEAD <= now - datetime.fromisoformat(renewed(lease)) <= OLD


async def _get(client: Client, name: str, namespace: str) -> Json | None:
    try:
        return await client.get(LEASES, name, namespace)
    except NotFound:
        return None
