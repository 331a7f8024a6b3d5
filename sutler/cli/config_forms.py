"""Docker configs in every form: a config file of docker or podman, a Secret's manifest, a Secret's data. Pure: no I/O.

Error texts quote nothing of a file: it may hold credentials.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from sutler.cli.exit_codes import UsageError
from sutler.cli.files import display_name, objects
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON, type_of
from sutler.registry.go_json import GoObject, NotJsonError, load
from sutler.text import quoted

Config = tuple[str, bytes]
"""A type of DATA_KEYS, and content of that type."""

_KEYS = {key: kind for kind, key in DATA_KEYS.items()} | dict.fromkeys(
    ("config.json", "auth.json", "dockerconfigjson"), DOCKERCONFIGJSON
)
"""Type by data key, in Secrets of any type: build tools mount a config.json."""
_OTHER_KINDS = {
    "SealedSecret": "it is encrypted, and its controller creates a Secret in the cluster",
    "ExternalSecret": "its credentials are in another system, and its controller creates a Secret in the cluster",
}


def parse_configs(text: str, name: str) -> list[Config]:
    """The docker configs in the text of a file. Raises UsageError if there is none."""
    content, name = text.encode(), display_name(name)
    try:
        document = load(content)
    except NotJsonError as error:
        if inner := _decoded(text):
            return parse_configs(inner, name)
        manifests = list(_manifests(text, name))
        if not manifests:
            raise UsageError(f"{name} is {error}") from None
        return _manifest_configs(manifests, name)
    if not isinstance(document, GoObject):
        raise UsageError(f"{name} is not a JSON object, as docker's config.json is")
    if any(key == "kind" and isinstance(value, str) for key, value in document.pairs):
        return _manifest_configs(list(_manifests(text, name)), name)
    kind = type_of(document)
    if kind is None:
        raise UsageError(f'{name} is not a docker config; expected {{"auths": {{"quay.io": {{"auth": …}}}}}}')
    return [(kind, content)]


def _decoded(text: str) -> str:
    """The decoded text if it is the base64 data of a Secret, else empty."""
    try:
        inner = base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return inner if inner.lstrip().startswith("{") else ""


def _manifests(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    if "kind" not in text:
        return  # PyYAML takes a minute for JSON that is parsed in a second
    try:
        yield from (obj for obj in objects(text, name) if isinstance(obj.get("kind"), str))
    except UsageError:
        return


def _manifest_configs(manifests: list[Mapping[str, Any]], name: str) -> list[Config]:
    secrets = [obj for obj in manifests if obj["kind"] == "Secret"]
    found = [config for secret in secrets for config in _secret_configs(secret, name)]
    if found:
        return found
    kind = secrets[0]["kind"] if secrets else manifests[0]["kind"]
    if kind in _OTHER_KINDS:
        read = "kubectl get secret NAME -o json | sutler registry import -"
        raise UsageError(f"{name} is a {kind}: {_OTHER_KINDS[kind]}; import that Secret: {read}")
    if secrets:
        raise UsageError(
            f"{name} is a Secret without a docker config: its data has none of the keys {', '.join(_KEYS)}"
        )
    raise UsageError(f"{name} is a {quoted(kind)}, expected docker's config.json, a .dockercfg or a Secret")


def _secret_configs(secret: Mapping[str, Any], name: str) -> Iterator[Config]:
    for field in ("data", "stringData"):
        data = secret.get(field)
        for key, value in data.items() if isinstance(data, Mapping) else ():
            kind = _KEYS.get(str(key))
            if kind is None or not isinstance(value, str):
                continue
            if field == "stringData":
                yield kind, value.encode()
                continue
            try:
                yield kind, base64.b64decode("".join(value.split()), validate=True)
            except (binascii.Error, ValueError):
                raise UsageError(f"{name} is a Secret whose data[{key}] is not base64") from None


def config_type(text: str) -> str:
    """DOCKERCONFIGJSON or DOCKERCFG if the text is such a file, else empty."""
    try:
        document = load(text.encode())
    except NotJsonError:
        return ""
    if not isinstance(document, GoObject) or any(key == "kind" for key, _ in document.pairs):
        return ""
    return type_of(document) or ""
