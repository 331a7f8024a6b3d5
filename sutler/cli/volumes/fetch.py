"""Fetches what there is to know of volumes: from the API server, and, where there is one, from Sutler's REST API."""

import os
import re
import sys
from contextlib import suppress
from http import HTTPStatus

from sutler.cli.api_client import TOKEN_VARIABLE, ApiClient, ApiRefusedError, UnreachableError
from sutler.cli.volumes.inventory import VolumeInventory, sort_out
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
_OFTEN = 500
"""Images after which the count that is shown goes on."""


async def from_kubernetes(client: Client, namespace: str | None = None) -> VolumeInventory:
    """`namespace`: of the claims; None for all."""
    volumes = await client.list(PERSISTENT_VOLUMES)
    claims = await client.list(PERSISTENT_VOLUME_CLAIMS, namespace)
    classes = await client.list(STORAGE_CLASSES)
    facts = sort_out(volumes, claims, classes, await _identity(client))
    with suppress(Forbidden):
        facts.attachments = await client.list(VOLUME_ATTACHMENTS)
    return facts


async def _identity(client: Client) -> str:
    try:
        return str((await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"])
    except Forbidden:
        return ""


async def events(client: Client, name: str, namespace: str) -> list[Json]:
    """About a claim or a volume, the latest last; none where they may not be read."""
    try:
        found = await client.list(EVENTS, namespace, field_selector=f"involvedObject.name={name}")
    except (Forbidden, NotFound):
        return []
    return sorted(found, key=when)


async def failures(client: Client) -> dict[str, str]:
    """What was said last of each volume that could not be deleted."""
    try:
        found = await client.list(EVENTS, "default", field_selector="reason=VolumeFailedDelete")
    except (Forbidden, NotFound):
        return {}
    return {event["involvedObject"]["name"]: event["message"] for event in sorted(found, key=when)}


def when(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])


def _progress(text: str, *, now: bool) -> None:
    """Where somebody looks; the next line of output overwrites it."""
    if now and sys.stderr.isatty():
        sys.stderr.write(f"\r{sanitized(text)}\r")
        sys.stderr.flush()


def _named(volumes: list[Json]) -> set[str]:
    """The fsids among the clusterIDs that node plugins are given."""
    given = [
        str(((one["spec"].get("csi") or {}).get("volumeAttributes") or {}).get("clusterID", "")) for one in volumes
    ]
    return {one for one in given if _FSID.fullmatch(one)}


class CephView:
    """The REST API, which knows one Ceph cluster."""

    def __init__(self, url: str, ca_file: str | None, token_file: str | None, cluster_id: str | None) -> None:
        """`cluster_id`: which of several the API serves; None: the only one that is used."""
        self._cluster_id = cluster_id
        self._console: ApiClient | None = None
        self.unseen = ""
        if token_file is None and not os.environ.get(TOKEN_VARIABLE, "").strip():
            self.unseen = f"set SUTLER_API_URL and {TOKEN_VARIABLE} to those of Sutler's REST API"
            return
        self._console = ApiClient(url, ca_file, token_file, os.environ)

    def look(self, facts: VolumeInventory, *, everywhere: bool = False) -> None:
        """Adds the images to the facts; `unseen` says why there are none.

        `everywhere`: also those of pools that no class and no volume names, at least by their names of today.
        """
        served = self._served({where.cluster for where in facts.wheres()}, _named(facts.volumes))
        facts.served = frozenset(served)
        pools = self._pools() if served else []
        facts.pools = {pool["id"]: pool["name"] for pool in pools}
        wheres = facts.wheres()
        if everywhere and served:
            names = {pool["name"] for pool in pools if "rbd" in pool["applications"]}
            namespaces = {"", *(where.namespace for where in wheres)}
            wheres |= {PoolLocation(min(served), name, namespace) for name in names for namespace in namespaces}
        for where in sorted((one for one in wheres if one.cluster in served), key=lambda one: one.path):
            found = self._list("images", where)
            if found is not None:
                facts.images[where] = found
        if self._console is not None and wheres and not served and not self.unseen:
            known = ", ".join(sorted(where.cluster or "(none)" for where in wheres))
            self.unseen = f"say with --cluster-id which of these the REST API serves: {known}"
        facts.unseen = self.unseen

    def _pools(self) -> list[Json]:
        """None where the token may not list them: then pools are known by their names alone."""
        if self._console is None or self.unseen:
            return []
        try:
            found: list[Json] = self._console.get("pools")["pools"]
        except ApiRefusedError:
            return []
        except UnreachableError as error:
            self.unseen = str(error)
            return []
        return found

    def trash(self, where: PoolLocation) -> list[Json]:
        return self._list("entries", where, "trash") or []

    def image(self, where: PoolLocation, name: str) -> Json | None:
        """All of one image; None if there is none, or nobody to ask."""
        if self._console is None or self.unseen:
            return None
        try:
            return self._console.get("pools", where.pool, "images", name, namespace=where.namespace)
        except ApiRefusedError:
            return None
        except UnreachableError as error:
            self.unseen = str(error)
            return None

    def _served(self, clusters: set[str], named: set[str]) -> set[str]:
        """The clusterIDs that mean the Ceph cluster of the REST API. `named`: the fsids that volumes name."""
        if self._console is None:
            return set()
        if self._cluster_id is not None:
            return {self._cluster_id}
        few = len(clusters) <= 1
        try:
            fsid = self._console.get("status")["ceph"].get("fsid")
        except (ApiRefusedError, UnreachableError) as error:
            if few and not named and isinstance(error, ApiRefusedError):
                return clusters
            self.unseen = str(error)
            return set()
        if not fsid:
            self.unseen = "the REST API has not reached Ceph yet"
        elif named and fsid not in named:
            # All images would seem to be gone, and what deletes their volumes would be advised.
            self.unseen = f"the REST API serves Ceph cluster {fsid}, and the volumes are in {', '.join(sorted(named))}"
        return set() if self.unseen else clusters if few else clusters & {"", fsid}

    def _list(self, key: str, where: PoolLocation, last: str = "images") -> list[Json] | None:
        if self._console is None or self.unseen:
            return None
        found: list[Json] = []
        try:
            for item in self._console.items(key, "pools", where.pool, last, namespace=where.namespace):
                found.append(item)
                _progress(f"{where.path}: {len(found)} images", now=len(found) % _OFTEN == 0)
        except (ApiRefusedError, UnreachableError) as error:
            if isinstance(error, ApiRefusedError) and error.status == HTTPStatus.NOT_FOUND:
                return []  # no such pool: there are no images in it
            self.unseen = str(error)
            return None
        return found
