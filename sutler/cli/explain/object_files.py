"""Files of Kubernetes objects and docker configs, read into what is known. Pure, but for opening the files.

Error texts quote nothing of a file: it may hold credentials.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sutler.cli.cluster_view import ClusterView, SecretInfo
from sutler.cli.config_forms import kind_of
from sutler.cli.files import called, objects, read_text
from sutler.cli.output import UsageError
from sutler.cli.pods import KINDS, PodReport, read_pod
from sutler.registry.dockerconfig import DOCKERCONFIGJSON, SourceError, parse_config
from sutler.typedefs import JsonMapping

UNDERSTOOD = "RegistryMappings, Secrets, docker configs, Namespaces, ServiceAccounts, Pods and what makes Pods"


@dataclass
class ObjectFiles:
    """What the files hold."""

    world: ClusterView
    pods: list[PodReport] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    """Names of docker configs, and of Secrets that no mapping in the files uses."""

    @property
    def pods_only(self) -> bool:
        return not (self.world.mappings or self.world.broken or self.world.secrets)


def read_files(names: Iterable[str], own_namespace: str) -> ObjectFiles:
    """Raises UsageError for a file that can't be read or holds nothing of use."""
    documents = ObjectFiles(ClusterView(own_namespace))
    for name in names:
        text = read_text(name)
        if kind := kind_of(text):
            documents.world.secrets["", name] = _held_config(kind, text.encode())
            continue
        found = [_add(documents, obj, name) for obj in objects(text, name)]
        if not any(found):
            raise UsageError(f"{called(name)}: there is nothing in it that this command reads ({UNDERSTOOD})")
    used = {name for mapping in documents.world.mappings for name in (mapping.secret, mapping.copy_from) if name}
    documents.loose = [name for _, name in documents.world.secrets if name not in used]
    return documents


def _add(documents: ObjectFiles, obj: JsonMapping, name: str) -> bool:
    """Whether it is of use."""
    world, kind = documents.world, obj.get("kind")
    if not isinstance(obj.get("metadata", {}), Mapping):
        raise UsageError(f"{called(name)}: the metadata of its {kind} is not an object")
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
    elif kind is None and "auths" in obj:  # in YAML
        world.secrets["", name] = _held_config(DOCKERCONFIGJSON, json.dumps(obj, default=str).encode())
    else:
        return False
    return True


def _held_config(secret_type: str, content: bytes) -> SecretInfo:
    try:
        return SecretInfo(parse_config(secret_type, content))
    except SourceError as error:
        return SecretInfo(None, str(error))
