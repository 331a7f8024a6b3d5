"""The objects that these tests are about."""

import base64
import json
from typing import Any

from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCFG, DOCKERCONFIGJSON

Json = dict[str, Any]

OWN = "sutler-system"


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def config(kind: str = DOCKERCONFIGJSON, **auths: str) -> dict[str, str]:
    """The `data` of a pull secret, with `auth` values by registry (`__` stands for a dot)."""
    entries = {registry.replace("__", "."): {"auth": value} for registry, value in auths.items()}
    document = {"auths": entries} if kind == DOCKERCONFIGJSON else entries
    return {DATA_KEYS[kind]: base64.b64encode(json.dumps(document).encode()).decode()}


def secret(
    name: str, data: dict[str, str], kind: str = DOCKERCONFIGJSON, namespace: str = OWN, **metadata: Any
) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "type": kind,
        "data": data,
    }


def mapping(
    name: str,
    *,
    copy_from: str | None = "source",
    secret: str | None = None,
    registries: tuple[str, ...] = ("quay.io",),
    selector: Json | None = None,
    mode: str = "Inject",
) -> Json:
    pull = {"name": secret or name} | ({"copyFrom": copy_from} if copy_from else {})
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {
            "registries": list(registries),
            "pullSecret": pull,
            "namespaceSelector": selector or {},
            "mode": mode,
        },
    }


def auths(secret: Json) -> dict[str, Json]:
    """The credentials inside a Secret of either type."""
    document = json.loads(base64.b64decode(secret["data"][DATA_KEYS[secret["type"]]]))
    found: dict[str, Json] = document if secret["type"] == DOCKERCFG else document["auths"]
    return found
