"""Reads files of Kubernetes objects and docker configs into a ClusterView.

Error texts quote nothing of a file: it may hold credentials.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sutler.cli.cluster_view import ClusterView, SecretInfo
from sutler.cli.config_forms import config_type
from sutler.cli.exit_codes import UsageError
from sutler.cli.files import display_name, objects, read_text
from sutler.cli.pods import KINDS, PodReport, parse_pod
from sutler.registry.dockerconfig import DOCKERCONFIGJSON, SourceError, parse_config
from sutler.typedefs import JsonMapping

SUPPORTED = "RegistryMappings, Secrets, docker configs, Namespaces, ServiceAccounts, Pods and Pod templates"


@dataclass
class ObjectFiles:
    view: ClusterView
    pods: list[PodReport] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    """Names of docker configs, and of Secrets that no mapping in the files uses."""

    @property
    def has_only_pods(self) -> bool:
        """Whether the files hold neither mappings nor Secrets."""
        return not (self.view.mappings or self.view.invalid or self.view.secrets)


def read_files(names: Iterable[str], own_namespace: str) -> ObjectFiles:
    """Raises UsageError for a file that cannot be read or holds no supported object."""
    read = ObjectFiles(ClusterView(own_namespace))
    for name in names:
        text = read_text(name)
        if kind := config_type(text):
            read.view.secrets["", name] = _config_info(kind, text.encode())
            continue
        found = [_add(read, obj, name) for obj in objects(text, name)]
        if not any(found):
            raise UsageError(f"{display_name(name)}: no supported object in it ({SUPPORTED})")
    used = {name for mapping in read.view.mappings for name in (mapping.secret, mapping.copy_from) if name}
    read.unmapped = [name for _, name in read.view.secrets if name not in used]
    return read


def _add(read: ObjectFiles, obj: JsonMapping, name: str) -> bool:
    """Adds an object; False if its kind is not supported."""
    view, kind = read.view, obj.get("kind")
    if not isinstance(obj.get("metadata", {}), Mapping):
        raise UsageError(f"{display_name(name)}: the metadata of its {kind} is not an object")
    if kind == "RegistryMapping":
        view.add_mapping(obj)
    elif kind == "Secret":
        view.add_secret(obj)
    elif kind == "ServiceAccount":
        view.add_account(obj)
    elif kind == "Namespace":
        view.add_namespace(obj)
    elif kind in KINDS:
        read.pods.append(parse_pod(obj))
    elif kind is None and "auths" in obj:  # in YAML
        view.secrets["", name] = _config_info(DOCKERCONFIGJSON, json.dumps(obj, default=str).encode())
    else:
        return False
    return True


def _config_info(secret_type: str, content: bytes) -> SecretInfo:
    try:
        return SecretInfo(parse_config(secret_type, content))
    except SourceError as error:
        return SecretInfo(None, str(error))
