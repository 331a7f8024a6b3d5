"""Reads volumes from the API server, and their images from Sutler's REST API if there is one."""

import os
import re
import sys
from contextlib import suppress
from http import HTTPStatus

from sutler.cli.api_client import TOKEN_VARIABLE, ApiClient, ApiRefusedError, UnreachableError
from sutler.cli.volumes.inventory import VolumeInventory, build_inventory
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import (
    EVENTS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from sutler.text import sanitized
from sutler.typedefs import Json
from sutler.volumes.locations import PoolLocation

_FSID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROGRESS_STEP = 500
"""Images after which the shown count is updated."""


async def read_inventory(client: Client, namespace: str | None = None) -> VolumeInventory:
    """The inventory without images. `namespace`: only claims of this one; None for all."""
    volumes = await client.list(PERSISTENT_VOLUMES)
    claims = await client.list(PERSISTENT_VOLUME_CLAIMS, namespace)
    classes = await client.list(STORAGE_CLASSES)
    inventory = build_inventory(volumes, claims, classes, await _cluster_identity(client))
    with suppress(Forbidden):
        inventory.attachments = await client.list(VOLUME_ATTACHMENTS)
    return inventory


async def _cluster_identity(client: Client) -> str:
    try:
        return str((await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"])
    except Forbidden:
        return ""


async def list_events(client: Client, name: str, namespace: str) -> list[Json]:
    """Events of a claim or a volume, oldest first; none if the user may not read them."""
    try:
        found = await client.list(EVENTS, namespace, field_selector=f"involvedObject.name={name}")
    except (Forbidden, NotFound):
        return []
    return sorted(found, key=event_time)


async def list_deletion_failures(client: Client) -> dict[str, str]:
    """The latest message of each volume that could not be deleted, by the volume's name."""
    try:
        found = await client.list(EVENTS, "default", field_selector="reason=VolumeFailedDelete")
    except (Forbidden, NotFound):
        return {}
    # Events of other programs need neither a message nor an object with a name.
    latest = {event["involvedObject"].get("name"): event.get("message") for event in sorted(found, key=event_time)}
    return {name: message for name, message in latest.items() if name and message}


def event_time(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])


def _print_progress(text: str, *, now: bool) -> None:
    """Shows progress on a terminal; the next line of output overwrites it."""
    if now and sys.stderr.isatty():
        sys.stderr.write(f"\r{sanitized(text)}\r")
        sys.stderr.flush()


def _known_fsids(volumes: list[Json]) -> set[str]:
    """The Ceph fsids among the clusterIDs of volumes, which node plugins get."""
    given = [
        str(((one["spec"].get("csi") or {}).get("volumeAttributes") or {}).get("clusterID", "")) for one in volumes
    ]
    return {one for one in given if _FSID.fullmatch(one)}


class CephView:
    """What the REST API knows about the one Ceph cluster that it serves."""

    def __init__(self, url: str, ca_file: str | None, token_file: str | None, cluster_id: str | None) -> None:
        """`cluster_id`: the clusterID that the API serves; None: the only one in use."""
        self._cluster_id = cluster_id
        self._api: ApiClient | None = None
        self.unread_reason = ""
        if token_file is None and not os.environ.get(TOKEN_VARIABLE, "").strip():
            self.unread_reason = f"set SUTLER_API_URL and {TOKEN_VARIABLE} for Sutler's REST API"
            return
        self._api = ApiClient(url, ca_file, token_file, os.environ)

    def read_into(self, inventory: VolumeInventory, *, everywhere: bool = False) -> None:
        """Adds the images to the inventory, or the reason why they were not read.

        `everywhere`: also those of pools that no class and no volume names, or names by a former name.
        """
        served = self._served({where.cluster for where in inventory.locations()}, _known_fsids(inventory.volumes))
        inventory.served = frozenset(served)
        pools = self._pools() if served else []
        inventory.pools = {pool["id"]: pool["name"] for pool in pools}
        locations = inventory.locations()
        if everywhere and served:
            names = {pool["name"] for pool in pools if "rbd" in pool["applications"]}
            namespaces = {"", *(where.namespace for where in locations)}
            locations |= {PoolLocation(min(served), name, namespace) for name in names for namespace in namespaces}
        for where in sorted((one for one in locations if one.cluster in served), key=lambda one: one.path):
            found = self._list("images", where)
            if found is not None:
                inventory.images[where] = found
        if self._api is not None and locations and not served and not self.unread_reason:
            known = ", ".join(sorted(where.cluster or "(none)" for where in locations))
            self.unread_reason = f"select with --cluster-id which of these the REST API serves: {known}"
        inventory.unread_reason = self.unread_reason

    def _pools(self) -> list[Json]:
        """The pools of the REST API; none if the token may not list them, so that their ids stay unknown."""
        if self._api is None or self.unread_reason:
            return []
        try:
            found: list[Json] = self._api.get("pools")["pools"]
        except ApiRefusedError:
            return []
        except UnreachableError as error:
            self.unread_reason = str(error)
            return []
        return found

    def trash(self, where: PoolLocation) -> list[Json]:
        """The entries in the trash of a pool; none if they could not be read."""
        return self._list("entries", where, "trash") or []

    def image(self, where: PoolLocation, name: str) -> Json | None:
        """All fields of an image; None if it does not exist or could not be read."""
        if self._api is None or self.unread_reason:
            return None
        try:
            return self._api.get("pools", where.pool, "images", name, namespace=where.namespace)
        except ApiRefusedError:
            return None
        except UnreachableError as error:
            self.unread_reason = str(error)
            return None

    def _served(self, clusters: set[str], fsids: set[str]) -> set[str]:
        """The clusterIDs of the Ceph cluster that the REST API serves. `fsids` are those that volumes name."""
        if self._api is None:
            return set()
        if self._cluster_id is not None:
            return {self._cluster_id}
        few = len(clusters) <= 1
        try:
            fsid = self._api.get("status")["ceph"].get("fsid")
        except (ApiRefusedError, UnreachableError) as error:
            if few and not fsids and isinstance(error, ApiRefusedError):
                return clusters
            self.unread_reason = str(error)
            return set()
        if not fsid:
            self.unread_reason = "the REST API has not reached Ceph yet"
        elif fsids and fsid not in fsids:
            # All images would seem to be missing, and the advice would be to delete their volumes.
            self.unread_reason = (
                f"the REST API serves Ceph cluster {fsid}, and the volumes are in {', '.join(sorted(fsids))}"
            )
        return set() if self.unread_reason else clusters if few else clusters & {"", fsid}

    def _list(self, key: str, where: PoolLocation, last: str = "images") -> list[Json] | None:
        if self._api is None or self.unread_reason:
            return None
        found: list[Json] = []
        try:
            for item in self._api.list_all(key, "pools", where.pool, last, namespace=where.namespace):
                found.append(item)
                _print_progress(f"{where.path}: {len(found)} images", now=len(found) % _PROGRESS_STEP == 0)
        except (ApiRefusedError, UnreachableError) as error:
            if isinstance(error, ApiRefusedError) and error.status == HTTPStatus.NOT_FOUND:
                return []  # a pool that does not exist has no images
            self.unread_reason = str(error)
            return None
        return found
