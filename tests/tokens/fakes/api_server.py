"""A few objects behind the API server's paths, in memory: for tests of the controller that start no cluster.

It knows objects by path, list and watch of RegistryTokens, JSON patches with their checks, TokenRequests. Rights,
schemas and admission are the real server's business.
"""

import asyncio
import copy
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonpatch
import yaml
from aiohttp import web

from tests.tokens.fakes.cloud import FakeCloud, Handler
from tests.tokens.fakes.jwt import service_account_token

Json = dict[str, Any]

OWN = "sutler-system"
TOKENS = "/apis/sutler.dev/v1alpha1/registrytokens"
SECRETS = f"/api/v1/namespaces/{OWN}/secrets"


@dataclass
class FakeApiServer(FakeCloud):
    objects: dict[str, Json] = field(default_factory=dict)
    """By path."""
    writes: list[str] = field(default_factory=list)
    collections: set[str] = field(default_factory=set)
    """Paths that list what is below, also where nothing is."""
    forbidden: set[str] = field(default_factory=set)
    """Paths that answer 403."""
    missing: set[str] = field(default_factory=set)
    """Paths that answer 404, even where an object is."""
    slowness_seconds: float = 0.0
    """For so long, at most, an answer is on its way, in both directions."""
    on_write: Callable[[], None] | None = None
    """Called after each patch."""
    _version: int = 1
    _events: list[tuple[int, str, Json, Json]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {("*", "/{path:.*}"): self._handle}

    def kubeconfig(self, folder: Path) -> str:
        file = folder / "kubeconfig"
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [context],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {}}],
        }
        file.write_text(yaml.safe_dump(config))
        return str(file)

    def put(self, path: str, obj: Json) -> None:
        """Create an object, or replace it; its generation grows with its spec."""
        self._version += 1
        old = self.objects.get(path, {})
        inside = (
            path.split("/namespaces/")[1].split("/", maxsplit=1)[0]
            if path.count("/namespaces/") and path.count("/") > 4
            else ""
        )
        metadata: Json = {"name": path.rpartition("/")[2], **({"namespace": inside} if inside else {})}
        metadata |= {**old.get("metadata", {}), **obj.get("metadata", {})}
        generation = metadata.get("generation", 0) + (obj.get("spec") != old.get("spec"))
        metadata |= {"uid": metadata.get("uid", f"uid-{self._version}"), "generation": generation}
        stored = {**copy.deepcopy(obj), "metadata": {**metadata, "resourceVersion": str(self._version)}}
        if "status" in old and "status" not in obj:
            stored["status"] = old["status"]
        self.objects[path] = stored
        self._happened(path, copy.deepcopy(old), stored)

    def remove(self, path: str) -> None:
        self._version += 1
        self._happened(path, self.objects.pop(path), {})

    def _happened(self, path: str, old: Json, new: Json) -> None:
        self._events.append((self._version, path, old, copy.deepcopy(new)))
        self._changed.set()
        self._changed = asyncio.Event()

    async def _handle(self, request: web.Request) -> web.StreamResponse:  # noqa: C901, PLR0911 - a list of cases
        path = request.path
        await asyncio.sleep(random.uniform(0, self.slowness_seconds))  # noqa: S311 - no secret
        if path in self.forbidden:
            return self._status(403, "Forbidden")
        if path in self.missing:
            return self._status(404, "NotFound")
        if request.method == "GET" and request.query.get("watch"):
            return await self._watch(request)
        if request.method == "GET":
            found = self.objects.get(path)
            if found is None and (path == TOKENS or path in self.collections):
                items = [each for where, each in self.objects.items() if is_listed(request, where, each)]
                found = {"metadata": {"resourceVersion": str(self._version)}, "items": items}
            return web.json_response(found) if found else self._status(404, "NotFound")
        self.writes.append(f"{request.method} {path}")
        if request.method == "POST":
            return self._post(path, await request.json())
        if request.method == "DELETE":
            if path not in self.objects:
                return self._status(404, "NotFound")
            self.remove(path)
            await asyncio.sleep(random.uniform(0, self.slowness_seconds))  # noqa: S311 - no secret
            return web.json_response({"kind": "Status"})
        if request.method == "PUT":
            self.put(path, await request.json())
            return web.json_response(self.objects[path])
        body = await request.json()
        if isinstance(body, dict):
            merged = merge(self.objects.get(path.removesuffix("/status"), {}), body)
            body = [{"op": "add", "path": f"/{field}", "value": value} for field, value in merged.items()]
        answer = self._patch(path, body)
        if self.on_write:
            self.on_write()
        return answer

    def _post(self, path: str, body: Json) -> web.Response:
        if path.endswith("/token"):
            if path.removesuffix("/token") not in self.objects:
                return self._status(404, "NotFound")
            (audience,) = body["spec"]["audiences"]
            name = path.split("/")[-2]
            return web.json_response({"status": {"token": service_account_token(audience, name)}}, status=201)
        where = f"{path}/{body['metadata']['name']}"
        if where in self.objects:
            return self._status(409, "AlreadyExists")
        self.put(where, body)
        return web.json_response(self.objects[where], status=201)

    def _patch(self, path: str, operations: list[Json]) -> web.Response:
        where = path.removesuffix("/status")
        found = self.objects.get(where)
        if found is None:
            return self._status(404, "NotFound")
        for each in operations:
            if each["path"] == "/metadata/resourceVersion" and each["value"] != found["metadata"]["resourceVersion"]:
                return self._status(409, "Conflict")
        try:
            changed = jsonpatch.apply_patch(found, operations)
        except jsonpatch.JsonPatchException:
            return self._status(422, "Invalid")
        self.put(where, changed)
        return web.json_response(self.objects[where])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        seen = int(request.query["resourceVersion"])
        while True:
            changed = self._changed
            for version, path, old, new in [each for each in self._events if each[0] > seen]:
                seen = version
                before, after = is_listed(request, path, old), is_listed(request, path, new)
                if not before and not after:
                    continue
                kind = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
                obj = copy.deepcopy(new or old)
                obj["metadata"]["resourceVersion"] = str(version)
                try:
                    await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
                except ConnectionResetError:
                    return response  # the client was killed
            await changed.wait()

    def _status(self, code: int, reason: str) -> web.Response:
        return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": reason}, status=code)


def merge(target: Json, patch: Json) -> Json:
    """A JSON merge patch (RFC 7396) of an object."""
    merged = {**target, **patch}
    for key, value in patch.items():
        if value is None:
            del merged[key]
        elif isinstance(value, dict):
            merged[key] = merge(target.get(key) or {}, value)
    return merged


def is_listed(request: web.Request, path: str, obj: Json) -> bool:
    """Whether a list or a watch shows the object: by its path, labels, name and phase."""
    if not obj:
        return False
    collection = path.rpartition("/")[0]
    everywhere = re.sub(r"/namespaces/[^/]+/", "/", collection)
    labels, fields = obj["metadata"].get("labels") or {}, request.query.get("fieldSelector", "")
    facts = {"metadata.name": obj["metadata"]["name"], "status.phase": (obj.get("status") or {}).get("phase", "")}
    wanted = [each.split("=", 1) for each in request.query.get("labelSelector", "").split(",") if each]
    return (
        request.path in {collection, everywhere}
        and all(each[0] in labels and (len(each) == 1 or labels[each[0]] == each[1]) for each in wanted)
        and all(
            (facts[key.removesuffix("!")] == value) != key.endswith("!")
            for key, _, value in (each.partition("=") for each in fields.split(",") if each)
        )
    )
