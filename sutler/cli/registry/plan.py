"""What `add` has to write for one registry: a source Secret and a mapping. Pure."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from sutler.cli.output import RefusedError
from sutler.cli.registry.registry_names import default_name, distinct_name
from sutler.cli.registry.selectors import show_selector
from sutler.registry.auth_entry import AuthEntry
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON, SourceError, render, with_entry
from sutler.typedefs import Json

SOURCE_OF = "sutler.dev/source-of"
"""Label of the Secrets that this command made: with the mapping they may go."""

_LARGEST = 1 << 20  # of all data of one Secret, says the API server

PART_OF = {"app.kubernetes.io/part-of": "sutler"}


@dataclass(frozen=True)
class RegistryRequest:
    """A registry, and who may use it where."""

    server: str
    username: bytes
    password: bytes = field(repr=False)
    name: str | None = None
    selector: Json | None = None
    """None: as it is, and for a new mapping every namespace."""


@dataclass(frozen=True)
class RegistryTarget:
    """Which mapping, and which Secret it copies from."""

    name: str
    secret: str
    mapping: Json | None
    """As it is; None: it is to be made."""


def target_of(wanted: RegistryRequest, mappings: Sequence[Json]) -> RegistryTarget:
    """The mapping that is for the registry already, or a new one. Raises RefusedError."""
    for_it = [mapping for mapping in mappings if wanted.server in _registries(mapping)]
    if wanted.name:
        for_it = [mapping for mapping in for_it if _name(mapping) == wanted.name]
    if len(for_it) > 1:
        several = ", ".join(sorted(map(_name, for_it)))
        raise RefusedError(f"several mappings are for {wanted.server}: {several}; name one: {_again(wanted, 'NAME')}")
    if for_it:
        return _existing(wanted, for_it[0])
    taken = {_name(mapping): mapping for mapping in mappings}
    names = [wanted.name] if wanted.name else [default_name(wanted.server), distinct_name(wanted.server)]
    named = next((name for name in names if name not in taken), None)
    if named is None:
        registries = ", ".join(_registries(taken[names[0]]))
        raise RefusedError(
            f"mapping {names[0]} is for {registries}, not for {wanted.server}: choose another name, "
            f"{_again(wanted, 'ANOTHER')}"
        )
    return RegistryTarget(named, f"{named}-credentials", None)


def _existing(wanted: RegistryRequest, mapping: Json) -> RegistryTarget:
    name, spec = _name(mapping), mapping["spec"]
    source = (spec.get("pullSecret") or {}).get("copyFrom")
    if not source:
        raise RefusedError(
            f"mapping {name} is for {wanted.server} and copies no Secret (no spec.pullSecret.copyFrom): its Secrets "
            f"come from elsewhere. To have Sutler copy one, make a second mapping: {_again(wanted, 'ANOTHER')}"
        )
    if wanted.selector is not None and not wanted.name and wanted.selector != spec.get("namespaceSelector"):
        raise RefusedError(
            f"mapping {name} is for {wanted.server} in {show_selector(spec.get('namespaceSelector') or {})}. To change "
            f"that: {_again(wanted, name)}. To make a second mapping: {_again(wanted, 'ANOTHER')}"
        )
    return RegistryTarget(name, source, mapping)


def _again(wanted: RegistryRequest, name: str) -> str:
    """What to type so that the mapping is this one."""
    selector = (
        "" if wanted.selector is None else f" --namespaces {quote(show_selector(wanted.selector, everywhere=''))}"
    )
    return f"sutler registry add {quote(wanted.server)} --name {name} --username NAME --password-stdin{selector}"


def mapping_body(wanted: RegistryRequest, target: RegistryTarget) -> Json:
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": target.name},
        "spec": {
            "registries": [wanted.server],
            "pullSecret": {"name": target.name, "copyFrom": target.secret},
            "namespaceSelector": wanted.selector or {},
        },
    }


def secret_body(wanted: RegistryRequest, target: RegistryTarget, namespace: str) -> Json:
    metadata = {"name": target.secret, "namespace": namespace, "labels": {**PART_OF, SOURCE_OF: target.name}}
    data = _data(DOCKERCONFIGJSON, render([_entry(wanted)], DOCKERCONFIGJSON), f"Secret {namespace}/{target.secret}")
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": DOCKERCONFIGJSON, "data": data}


def secret_patch(wanted: RegistryRequest, target: RegistryTarget, secret: Json) -> Json | None:
    """Puts the credential into a Secret that is there; all else in it stays. None: it is as it should be.

    Raises:
        RefusedError: when it is not ours to write, or can't be written.
    """
    metadata, kind = secret["metadata"], secret.get("type", "")
    namespace, name = metadata["namespace"], metadata["name"]
    where = f"Secret {name} in namespace {namespace}"
    ours = (metadata.get("labels") or {}).get(SOURCE_OF) == target.name
    if kind not in DATA_KEYS or not (ours or target.mapping):
        why = f"has the type {kind}" if kind not in DATA_KEYS else "was not made by this command"
        raise RefusedError(
            f"{where} is in the way: it {why} and stays. Choose another name: {_again(wanted, 'ANOTHER')}"
        )
    content = base64.b64decode((secret.get("data") or {}).get(DATA_KEYS[kind]) or "")
    try:
        changed = with_entry(kind, content, _entry(wanted))
    except SourceError as error:
        if not ours:
            raise RefusedError(
                f"{where} can't be read: {error}. Mend it (kubectl -n {namespace} edit secret {name}), or choose "
                f"another name: {_again(wanted, 'ANOTHER')}"
            ) from error
        changed = render([_entry(wanted)], kind)
    if changed is None:
        return None
    if secret.get("immutable"):
        replace = (
            f"kubectl -n {namespace} get secret {name} -o yaml | sed '/^immutable:/d' | kubectl replace --force -f -"
        )
        raise RefusedError(
            f"{where} is immutable. Make it mutable, which keeps what it holds, and try again: {replace}"
        )
    data = {**(secret.get("data") or {}), **_data(kind, changed, where)}
    return {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": data}


def selector_patch(wanted: RegistryRequest, target: RegistryTarget) -> list[Json]:
    """RFC 6902, for a mapping whose namespaces are to be others now; empty if it has them."""
    if target.mapping is None or wanted.selector in (None, target.mapping["spec"].get("namespaceSelector")):
        return []
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": target.mapping["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/namespaceSelector", "value": wanted.selector},
    ]


def _entry(wanted: RegistryRequest) -> AuthEntry:
    return AuthEntry(wanted.server, wanted.username, wanted.password)


def _data(secret_type: str, content: bytes, where: str) -> dict[str, str]:
    """Raises RefusedError for what the API server would refuse, too."""
    if len(content) > _LARGEST:
        raise RefusedError(
            f"{where} would hold {len(content)} bytes, and a Secret holds at most {_LARGEST}: is that the password?"
        )
    return {DATA_KEYS[secret_type]: base64.b64encode(content).decode()}


def _registries(mapping: Mapping[str, Any]) -> list[str]:
    return [str(text).removesuffix("/") for text in mapping["spec"].get("registries") or []]


def _name(mapping: Mapping[str, Any]) -> str:
    return str(mapping["metadata"]["name"])
