"""One installation for all tests here: three processes, each under its own account, one control plane, one Ceph."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import Ceph, ControlPlane, Place, wait_for
from tests.cluster.installation import NAMESPACE, Installation

Kubectl = Callable[..., str]
ALIYUN = "registry.cn-hangzhou.aliyuncs.com"


@pytest.fixture(scope="module")
def sutler(
    control_plane: ControlPlane, ceph: Ceph, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    installation = Installation(control_plane, ceph, place, tmp_path_factory.mktemp("sutler"))
    installation.start()
    yield installation
    installation.stop()


@pytest.fixture(scope="module")
def mapping(sutler: Installation) -> Iterator[str]:
    """A mapping for one path of a registry, Ready; its name is also the pull secret's."""
    name = "aliyun-hangzhou"
    auth = {"auths": {f"{ALIYUN}/xxxx": {"auth": base64.b64encode(b"UserName:Password").decode()}}}
    source = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "aliyun-credentials", "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(auth)},
    }
    mapping = registry_mapping(name, f"{ALIYUN}/xxxx", copy_from="aliyun-credentials")
    apply(sutler.control_plane, source, mapping)
    wait_for(lambda: ready_condition(sutler.control_plane, name)["status"] == "True", f"mapping {name} to be Ready")
    yield name
    sutler.control_plane.kubectl("delete", "registrymapping", name)
    sutler.control_plane.kubectl("delete", "secret", "aliyun-credentials", "-n", NAMESPACE)


def registry_mapping(name: str, registry: str, copy_from: str | None = None) -> dict[str, Any]:
    secret = {"name": name} | ({"copyFrom": copy_from} if copy_from else {})
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": name},
        "spec": {"registries": [registry], "pullSecret": secret, "namespaceSelector": {}},
    }


def apply(control_plane: ControlPlane, *objects: dict[str, Any]) -> None:
    body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(body))


def ready_condition(control_plane: ControlPlane, mapping: str) -> dict[str, str]:
    """The Ready condition of a mapping; its status is "" while there is none."""
    found = control_plane.kubectl_json("get", "registrymapping", mapping)
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return dict(condition)
    return {"status": "", "message": ""}
