"""What `add` has to write for one registry: a source Secret and a mapping. Pure."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sutler.commands.registry.selectors import show_selector
from sutler.commands.registry.servers import default_name
from sutler.output import RefusedError
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON, Entry, SourceError, parse_secret, render
from sutler.registry.keyring import parse_key

Json = dict[str, Any]

SOURCE_OF = "sutler.dev/source-of"
"""Label of the Secrets that this command made: with the mapping they may go."""

PART_OF = {"app.kubernetes.io/part-of": "sutler"}


@dataclass(frozen=True)
class Wanted:
    """A registry, and who may use it where."""

    server: str
    username: bytes
    password: bytes = field(repr=False)
    name: str | None = None
    selector: Json | None = None
    """None: as it is, and for a new mapping every namespace."""


@dataclass(frozen=True)
class Target:
    """Which mapping, and which Secret it copies from."""

    name: str
    secret: str
    mapping: Json | None
    """As it is; None: it is to be made."""


def target_of(wanted: Wanted, mappings: Sequence[Json]) -> Target:
    """The mapping that is for the registry already, or a new one. Raises RefusedError."""
    for_it = [mapping for mapping in mappings if wanted.server in (mapping["spec"].get("registries") or [])]
    named = wanted.name or default_name(wanted.server)
    if wanted.name:
        for_it = [mapping for mapping in for_it if _name(mapping) == wanted.name]
    if len(for_it) > 1:
        names = ", ".join(sorted(map(_name, for_it)))
        raise RefusedError(f"several mappings are for {wanted.server}: {names}; say which one with --name")
    if for_it:
        return _existing(wanted, for_it[0])
    taken = next((mapping for mapping in mappings if _name(mapping) == named), None)
    if taken:
        registries = ", ".join(taken["spec"].get("registries") or [])
        raise RefusedError(
            f"mapping {named} is for {registries}, not for {wanted.server}: choose another name with --name, or add "
            f"the registry to it with kubectl edit registrymapping {named}"
        )
    return Target(named, f"{named}-credentials", None)


def _existing(wanted: Wanted, mapping: Json) -> Target:
    name, spec = _name(mapping), mapping["spec"]
    source = (spec.get("pullSecret") or {}).get("copyFrom")
    if not source:
        raise RefusedError(
            f"mapping {name} is for {wanted.server} and copies no Secret (no spec.pullSecret.copyFrom): somebody "
            f"else brings its Secrets. To have Sutler do it choose another name with --name"
        )
    if wanted.selector is not None and not wanted.name and wanted.selector != spec.get("namespaceSelector"):
        raise RefusedError(
            f"mapping {name} is for {wanted.server} in {show_selector(spec.get('namespaceSelector') or {})}: to change "
            f"that say --name {name}, to make a second mapping choose another name"
        )
    return Target(name, source, mapping)


def mapping_body(wanted: Wanted, target: Target) -> Json:
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


def secret_body(wanted: Wanted, target: Target, namespace: str) -> Json:
    metadata = {"name": target.secret, "namespace": namespace, "labels": {**PART_OF, SOURCE_OF: target.name}}
    data = _data(DOCKERCONFIGJSON, [_entry(wanted)])
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": DOCKERCONFIGJSON, "data": data}


def secret_patch(wanted: Wanted, target: Target, secret: Json) -> Json | None:
    """Puts the credential into a Secret that is there; its other registries stay. None: it is as it should be.

    Raises:
        RefusedError: when it is nobody's to overwrite.
    """
    metadata, kind = secret["metadata"], secret.get("type", "")
    where = f"Secret {metadata['name']} in namespace {metadata['namespace']}"
    ours = (metadata.get("labels") or {}).get(SOURCE_OF) == target.name
    if kind not in DATA_KEYS or not (ours or target.mapping):
        why = f"its type is {kind}" if kind not in DATA_KEYS else "it was made by somebody else"
        raise RefusedError(f"{where} is in the way ({why}): delete or rename it, or choose another name with --name")
    try:
        others = _other_entries(secret, wanted)
    except SourceError as error:
        if not ours:
            raise RefusedError(f"{where} can't be read: {error}. Mend it or delete it first") from error
        others = []
    data = _data(kind, [*others, _entry(wanted)])
    if data == secret.get("data"):
        return None
    return {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": data}


def selector_patch(wanted: Wanted, target: Target) -> list[Json]:
    """RFC 6902, for a mapping whose namespaces are to be others now; empty if it has them."""
    if target.mapping is None or wanted.selector in (None, target.mapping["spec"].get("namespaceSelector")):
        return []
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": target.mapping["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/namespaceSelector", "value": wanted.selector},
    ]


def _entry(wanted: Wanted) -> Entry:
    return Entry(wanted.server, wanted.username, wanted.password)


def _other_entries(secret: Json, wanted: Wanted) -> list[Entry]:
    data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    same = parse_key(wanted.server).normal
    return [entry for entry in parse_secret(secret["type"], data).entries if parse_key(entry.key).normal != same]


def _data(secret_type: str, entries: Sequence[Entry]) -> dict[str, str]:
    return {DATA_KEYS[secret_type]: base64.b64encode(render(entries, secret_type)).decode()}


def _name(mapping: Mapping[str, Any]) -> str:
    return str(mapping["metadata"]["name"])
