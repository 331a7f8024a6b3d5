"""A new version of RegistryMapping, stored instead of the old one, by the guide's own commands."""

import copy
import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster import ClusterError, ControlPlane
from tests.conftest import REPOSITORY
from tests.manifests.rendered import Json

# Not the real one: other tests use that on the same server.
GROUP = "upgrade.example.com"
NAME = f"registrymappings.{GROUP}"
CAN_PATCH_STATUS = (
    "--subresource"
    in subprocess.run(["kubectl", "patch", "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
)


@pytest.fixture
def definition(control_plane: ControlPlane) -> Iterator[Json]:
    text = (REPOSITORY / "manifests/crds/registrymappings.yaml").read_text()
    crd: Json = yaml.safe_load(text)
    crd["metadata"]["name"], crd["spec"]["group"] = NAME, GROUP
    crd["spec"]["names"]["shortNames"] = []
    yield crd
    control_plane.kubectl("delete", "crd", NAME)


def established(control_plane: ControlPlane, crd: Json, *versions: tuple[str, bool]) -> None:
    """Serve these versions, of which one is stored."""
    changed = copy.deepcopy(crd)
    (schema,) = changed["spec"]["versions"]
    changed["spec"]["versions"] = [{**schema, "name": name, "storage": storage} for name, storage in versions]
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(changed))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{NAME}")


@pytest.mark.skipif(not CAN_PATCH_STATUS, reason="the guide's line needs kubectl 1.24 or newer")
def test_mappings_survive_a_new_stored_version(control_plane: ControlPlane, definition: Json) -> None:
    established(control_plane, definition, ("v1alpha1", True))
    spec = {"registries": ["quay.io"], "pullSecret": {"name": "quay"}, "namespaceSelector": {}}
    mapping = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "RegistryMapping", "metadata": {"name": "quay"}, "spec": spec}
    written = control_plane.kubectl_json("create", "-f", "-", input=json.dumps(mapping))
    status = {**written, "status": {"observedGeneration": 1}}
    path = f"/apis/{GROUP}/v1alpha1/registrymappings/quay/status"
    control_plane.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps(status))

    established(control_plane, definition, ("v1alpha1", False), ("v1beta1", True))
    with pytest.raises(ClusterError, match="storedVersions"):
        established(control_plane, definition, ("v1beta1", True))
    guide = (REPOSITORY / "docs" / "upgrade.md").read_text()
    (step,) = re.findall(r"^```sh\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    step = step.replace("registrymappings.sutler.dev", NAME).replace("get registrymappings ", f"get {NAME} ")
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", step], env=environment, check=True, timeout=60)
    established(control_plane, definition, ("v1beta1", True))

    kept = control_plane.kubectl_json("get", NAME, "quay")
    assert kept["apiVersion"] == f"{GROUP}/v1beta1"
    assert (kept["spec"], kept["status"]) == (written["spec"], status["status"])
    assert kept["metadata"]["uid"] == written["metadata"]["uid"]
