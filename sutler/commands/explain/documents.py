"""Files of Kubernetes objects and docker configs, read into what is known. Pure, but for opening the files.

Error texts quote nothing of a file: it may hold credentials.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sutler.commands.pods import KINDS, Pod, read_pod
from sutler.commands.world import Held, World
from sutler.output import UsageError
from sutler.registry.dockerconfig import DOCKERCFG, DOCKERCONFIGJSON, SourceError, parse_config

Json = Mapping[str, Any]

STDIN = "-"
UNDERSTOOD = "RegistryMappings, Secrets, docker configs, Namespaces, ServiceAccounts, Pods and what makes Pods"


@dataclass
class Documents:
    """What the files hold."""

    world: World
    pods: list[Pod] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    """Names of docker configs, and of Secrets that no mapping in the files uses."""

    @property
    def pods_only(self) -> bool:
        return not (self.world.mappings or self.world.broken or self.world.secrets)


def read_files(names: Iterable[str], own_namespace: str) -> Documents:
    """Raises UsageError for a file that can't be read or holds nothing of use."""
    documents = Documents(World(own_namespace))
    for name in names:
        found = [_add(documents, obj, name) for obj in objects(_content(name), name)]
        if not any(found):
            raise UsageError(f"{name}: there is nothing in it that this command reads ({UNDERSTOOD})")
    used = {name for mapping in documents.world.mappings for name in (mapping.secret, mapping.copy_from) if name}
    documents.loose = [name for _, name in documents.world.secrets if name not in used]
    return documents


def objects(content: str, name: str) -> Iterator[Json]:
    """The objects in YAML or JSON, lists taken apart."""
    try:
        found = list(yaml.safe_load_all(content))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{name}: neither YAML nor JSON{where}") from None
    except RecursionError:
        raise UsageError(f"{name}: it is nested too deeply, no object of Kubernetes is") from None
    for obj in found:
        if isinstance(obj, Mapping):
            items = obj.get("items")
            is_list = str(obj.get("kind", "")).endswith("List") and isinstance(items, list)
            yield from (item for item in items if isinstance(item, Mapping)) if is_list and items else [obj]


def is_docker_config(obj: Json) -> bool:
    """A config.json has `auths`; a .dockercfg is nothing but registries and what they are given."""
    if "auths" in obj:
        return True
    values = list(obj.values())
    fields = {"auth", "username", "password", "email"}
    return bool(values) and all(isinstance(value, Mapping) and value.keys() & fields for value in values)


def _content(name: str) -> str:
    try:
        return sys.stdin.read() if name == STDIN else Path(name).read_text()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{name}: it is not text") from None


def _add(documents: Documents, obj: Json, name: str) -> bool:
    """Whether it is of use."""
    world, kind = documents.world, obj.get("kind")
    if not isinstance(obj.get("metadata", {}), Mapping):
        raise UsageError(f"{name}: the metadata of its {kind} is not an object")
    if kind == "RegistryMapping":
        world.add_mapping(obj)
    elif kind == "Secret":
        world.add_secret(obj)
    elif kind == "ServiceAccount":
        world.add_account(obj)
    elif kind == "Namespace":
        world.add_namespace(obj)
    elif kind in KINDS:
        documents.pods.append(read_pod(obj))
    elif kind is None and is_docker_config(obj):
        world.secrets["", name] = _held_config(obj)
    else:
        return False
    return True


def _held_config(obj: Json) -> Held:
    secret_type = DOCKERCONFIGJSON if "auths" in obj else DOCKERCFG
    try:
        return Held(parse_config(secret_type, json.dumps(obj, default=str).encode()))
    except SourceError as error:
        return Held(None, str(error))
