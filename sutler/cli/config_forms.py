"""The forms in which people have a docker config: a file of docker's or podman's, a Secret's manifest, its data. Pure.

Error texts quote nothing of a file: it may hold credentials.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from sutler.cli.files import called, objects
from sutler.cli.output import UsageError
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON, type_of
from sutler.registry.go_json import GoObject, NotJsonError, load
from sutler.text import quoted

Config = tuple[str, bytes]
"""A type of DATA_KEYS, and the content that belongs to it."""

_KEYS = {key: kind for kind, key in DATA_KEYS.items()} | dict.fromkeys(
    ("config.json", "auth.json", "dockerconfigjson"), DOCKERCONFIGJSON
)
"""Of Secrets of any type: build tools mount a config.json."""
_ELSEWHERE = {
    "SealedSecret": "it is encrypted, its controller makes a Secret of it in the cluster",
    "ExternalSecret": "the credentials are in another system, its controller makes a Secret of it in the cluster",
}


def configs_in(text: str, name: str) -> list[Config]:
    """Raises UsageError where there is none."""
    content, name = text.encode(), called(name)
    try:
        document = load(content)
    except NotJsonError as error:
        if inner := _decoded(text):
            return configs_in(inner, name)
        manifests = list(_manifests(text, name))
        if not manifests:
            raise UsageError(f"{name} is {error}") from None
        return _of_manifests(manifests, name)
    if not isinstance(document, GoObject):
        raise UsageError(f"{name} is not a JSON object, as docker's config.json is")
    if any(key == "kind" and isinstance(value, str) for key, value in document.pairs):
        return _of_manifests(list(_manifests(text, name)), name)
    kind = type_of(document)
    if kind is None:
        raise UsageError(f'{name} is no docker config, which is as {{"auths": {{"quay.io": {{"auth": …}}}}}}')
    return [(kind, content)]


def _decoded(text: str) -> str:
    """The data of a Secret, copied as it stands there; empty: it is none."""
    try:
        inner = base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return inner if inner.lstrip().startswith("{") else ""


def _manifests(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    if "kind" not in text:
        return  # the YAML reader takes a minute for what JSON's takes a second
    try:
        yield from (obj for obj in objects(text, name) if isinstance(obj.get("kind"), str))
    except UsageError:
        return


def _of_manifests(manifests: list[Mapping[str, Any]], name: str) -> list[Config]:
    secrets = [obj for obj in manifests if obj["kind"] == "Secret"]
    found = [config for secret in secrets for config in _of_secret(secret, name)]
    if found:
        return found
    kind = secrets[0]["kind"] if secrets else manifests[0]["kind"]
    if kind in _ELSEWHERE:
        read = "kubectl get secret NAME -o json | sutler registry import -"
        raise UsageError(f"{name} is a {kind}: {_ELSEWHERE[kind]}; import that one: {read}")
    if secrets:
        raise UsageError(f"{name} is a Secret without a docker config: its data has none of {', '.join(_KEYS)}")
    raise UsageError(f"{name} is a {quoted(kind)}, expected docker's config.json, a .dockercfg or a Secret")


def _of_secret(secret: Mapping[str, Any], name: str) -> Iterator[Config]:
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


def kind_of(text: str) -> str:
    """DOCKERCONFIGJSON or DOCKERCFG for the text of such a file, else empty."""
    try:
        document = load(text.encode())
    except NotJsonError:
        return ""
    if not isinstance(document, GoObject) or any(key == "kind" for key, _ in document.pairs):
        return ""
    return type_of(document) or ""
