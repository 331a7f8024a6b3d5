"""What `sutler registry add` writes for a registry: a source Secret and a mapping. Pure: no I/O."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from sutler import well_known
from sutler.cli.exit_codes import RefusedError
from sutler.cli.registry.registry_names import default_name, distinct_name
from sutler.cli.registry.selectors import render_selector
from sutler.registry.auth_entry import AuthEntry
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON, SourceError, render, with_entry
from sutler.typedefs import Json

_MAX_BYTES = 1 << 20  # of all data of one Secret, a limit of the API server

PART_OF = {well_known.PART_OF: "sutler"}


@dataclass(frozen=True)
class RegistryRequest:
    """A registry to add, its credential, and the namespaces that get it."""

    server: str
    username: bytes
    password: bytes = field(repr=False)
    name: str | None = None
    """Name of the mapping; None for the existing one, else one derived from the server."""
    selector: Json | None = None
    """The namespaceSelector; None keeps the mapping's, and selects every namespace for a new one."""


@dataclass(frozen=True)
class RegistryTarget:
    """The mapping of a registry, and its source Secret."""

    name: str
    secret: str
    mapping: Json | None
    """The existing mapping; None if it must be created."""


def find_target(request: RegistryRequest, mappings: Sequence[Json]) -> RegistryTarget:
    """The mapping that already has the registry, or a new one. Raises RefusedError."""
    matching = [mapping for mapping in mappings if request.server in _registries(mapping)]
    if request.name:
        matching = [mapping for mapping in matching if _name(mapping) == request.name]
    if len(matching) > 1:
        several = ", ".join(sorted(map(_name, matching)))
        raise RefusedError(f"several mappings match {request.server}: {several}; select one: {_again(request, 'NAME')}")
    if matching:
        return _existing(request, matching[0])
    taken = {_name(mapping): mapping for mapping in mappings}
    names = [request.name] if request.name else [default_name(request.server), distinct_name(request.server)]
    named = next((name for name in names if name not in taken), None)
    if named is None:
        registries = ", ".join(_registries(taken[names[0]]))
        raise RefusedError(
            f"mapping {names[0]} matches {registries}, not {request.server}; choose another name: "
            f"{_again(request, 'ANOTHER')}"
        )
    return RegistryTarget(named, f"{named}-credentials", None)


def _existing(request: RegistryRequest, mapping: Json) -> RegistryTarget:
    name, spec = _name(mapping), mapping["spec"]
    source = (spec.get("pullSecret") or {}).get("copyFrom")
    if not source:
        raise RefusedError(
            f"mapping {name} matches {request.server} but copies no Secret (no spec.pullSecret.copyFrom): its Secrets "
            f"are managed elsewhere. To let Sutler copy one, create a second mapping: {_again(request, 'ANOTHER')}"
        )
    if request.selector is not None and not request.name and request.selector != spec.get("namespaceSelector"):
        raise RefusedError(
            f"mapping {name} matches {request.server} in {render_selector(spec.get('namespaceSelector') or {})}. To "
            f"change that: {_again(request, name)}. To create a second mapping: {_again(request, 'ANOTHER')}"
        )
    return RegistryTarget(name, source, mapping)


def _again(request: RegistryRequest, name: str) -> str:
    """The same command with --name."""
    selector = (
        "" if request.selector is None else f" --namespaces {quote(render_selector(request.selector, everywhere=''))}"
    )
    return f"sutler registry add {quote(request.server)} --name {name} --username NAME --password-stdin{selector}"


def mapping_body(request: RegistryRequest, target: RegistryTarget) -> Json:
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": target.name},
        "spec": {
            "registries": [request.server],
            "pullSecret": {"name": target.name, "copyFrom": target.secret},
            "namespaceSelector": request.selector or {},
        },
    }


def secret_body(request: RegistryRequest, target: RegistryTarget, namespace: str) -> Json:
    metadata = {"name": target.secret, "namespace": namespace, "labels": {**PART_OF, well_known.SOURCE_OF: target.name}}
    data = _data(DOCKERCONFIGJSON, render([_entry(request)], DOCKERCONFIGJSON), f"Secret {namespace}/{target.secret}")
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": DOCKERCONFIGJSON, "data": data}


def secret_patch(request: RegistryRequest, target: RegistryTarget, secret: Json) -> Json | None:
    """The patch that sets the credential in an existing Secret, and keeps all else; None if it is set already.

    Raises:
        RefusedError: if Sutler may not or cannot write the Secret.
    """
    metadata, kind = secret["metadata"], secret.get("type", "")
    namespace, name = metadata["namespace"], metadata["name"]
    where = f"Secret {name} in namespace {namespace}"
    labels = metadata.get("labels") or {}
    is_own = labels.get(well_known.SOURCE_OF) == target.name
    if token := labels.get(well_known.TOKEN):
        raise RefusedError(
            f"{where} is kept by RegistryToken {token}, which would overwrite the password. To use a password that "
            f"does not expire: sutler registry remove {target.name}, then add it again; or create a second mapping: "
            f"{_again(request, 'ANOTHER')}"
        )
    if kind not in DATA_KEYS or not (is_own or target.mapping):
        why = f"has type {kind}" if kind not in DATA_KEYS else "was not created by this command"
        raise RefusedError(
            f"{where} conflicts: it {why}, so it is kept. Choose another name: {_again(request, 'ANOTHER')}"
        )
    content = base64.b64decode((secret.get("data") or {}).get(DATA_KEYS[kind]) or "")
    try:
        changed = with_entry(kind, content, _entry(request))
    except SourceError as error:
        if not is_own:
            raise RefusedError(
                f"{where} is malformed: {error}. Correct it (kubectl -n {namespace} edit secret {name}), or choose "
                f"another name: {_again(request, 'ANOTHER')}"
            ) from error
        changed = render([_entry(request)], kind)
    if changed is None:
        return None
    if secret.get("immutable"):
        replace = (
            f"kubectl -n {namespace} get secret {name} -o yaml | sed '/^immutable:/d' | kubectl replace --force -f -"
        )
        raise RefusedError(
            f"{where} is immutable. Replace it with a mutable one of the same content, and try again: {replace}"
        )
    data = {**(secret.get("data") or {}), **_data(kind, changed, where)}
    return {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": data}


def selector_patch(request: RegistryRequest, target: RegistryTarget) -> list[Json]:
    """The JSON Patch that changes the mapping's namespaceSelector; empty if it has that already."""
    if target.mapping is None or request.selector in (None, target.mapping["spec"].get("namespaceSelector")):
        return []
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": target.mapping["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/namespaceSelector", "value": request.selector},
    ]


def _entry(request: RegistryRequest) -> AuthEntry:
    return AuthEntry(request.server, request.username, request.password)


def _data(secret_type: str, content: bytes, where: str) -> dict[str, str]:
    """The data of a Secret. Raises RefusedError if it is larger than the API server accepts."""
    if len(content) > _MAX_BYTES:
        raise RefusedError(
            f"{where} would have {len(content)} bytes, and a Secret has at most {_MAX_BYTES}: check the password"
        )
    return {DATA_KEYS[secret_type]: base64.b64encode(content).decode()}


def _registries(mapping: Mapping[str, Any]) -> list[str]:
    return [str(text).removesuffix("/") for text in mapping["spec"].get("registries") or []]


def _name(mapping: Mapping[str, Any]) -> str:
    return str(mapping["metadata"]["name"])
