"""What four processes did and said in a life: no secret, no right too many or too few, the metrics that are watched."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import ControlPlane, wait_for
from tests.cluster.installation import NAMESPACE
from tests.conftest import REPOSITORY
from tests.installed import promql, rights
from tests.installed.life import ATTACHED, TEAM, Life
from tests.manifests.promql_expressions import expressions
from tests.manifests.rendered import BASE, rendered

Json = dict[str, Any]
Sample = tuple[str, dict[str, str]]

# Of what Prometheus itself adds. job and component come from the PodMonitor.
TARGET = {"job": "sutler-system/sutler", "namespace": NAMESPACE, "pod": "a-pod", "container": "a", "endpoint": "probes"}
# Labels whose values are answers that can't be had at will: that there is such a label has to do.
ANSWERS = {"code", "result"}
# Rights that this life has no use for, with the reason why they are granted.
_NO_SNAPSHOTS = "the cluster of this life has no VolumeSnapshots; tests/volumes uses these rights"
_OF_SNAPSHOTS = (
    "patch persistentvolumeclaims",
    *(
        f"{verb} {kind}.snapshot.storage.k8s.io"
        for kind in ("volumesnapshots", "volumesnapshotcontents")
        for verb in ("get", "watch", "patch")
    ),
    "patch volumesnapshotcontents.snapshot.storage.k8s.io/status",
)
_NO_ATTRIBUTES = "no claim of this life names a VolumeAttributesClass; tests/volumes uses this right"
UNUSED = {f"sutler-volumes: {right}": _NO_SNAPSHOTS for right in _OF_SNAPSHOTS} | {
    "sutler-volumes: get volumeattributesclasses.storage.k8s.io": _NO_ATTRIBUTES
}


@pytest.fixture(scope="module")
def canaries(life: Life) -> dict[str, str]:
    """Everything that must stay where it is, as it is and as it may have been encoded on the way."""
    found = {"password": life.password, "environment": life.environment, "wrong token": life.wrong_token}
    found["basic auth"] = base64.b64encode(f"UserName:{life.password}".encode()).decode()
    document = life.control_plane.kubectl("get", "secret", "aliyun-credentials", "-n", NAMESPACE, "-o", "json")
    found["docker config"] = json.loads(document)["data"][".dockerconfigjson"]
    found["token of the console"] = life.token
    for account in life.processes:
        config = life.control_plane.state / f"{NAMESPACE}.sutler-{account}.kubeconfig"
        found[f"token of {account}"] = yaml.safe_load(config.read_text())["users"][0]["user"]["token"]
    for secret in ("sutler-webhook-certificate", "sutler-api-certificate"):
        for key, value in life.control_plane.kubectl_json("get", "secret", secret, "-n", NAMESPACE)["data"].items():
            if key.endswith(".key"):
                found[f"{key} of {secret}"] = value
                found[f"a line of {key} of {secret}"] = base64.b64decode(value).decode().splitlines()[1]
    for keyring in life.installation.state.glob("*/ceph/keyring"):
        for number, key in enumerate(re.findall(r"key = (\S+)", keyring.read_text())):
            found[f"Ceph key {number} of {keyring.parent.parent.name}"] = key
    return found


def test_no_secret_is_in_any_output(life: Life, canaries: dict[str, str]) -> None:
    assert len(canaries) >= 17
    assert all(len(value) > 16 for value in canaries.values())
    leaks = [(what, where) for what, value in canaries.items() for where, text in life.said.items() if value in text]
    assert leaks == []


def test_outputs_are_those_of_four_talkative_processes(life: Life) -> None:
    """Or else the test above would look at nothing."""
    origins = {f"{what} of {name}" for what in ("log", "probes") for name in ("webhook", "secrets", "volumes", "api")}
    assert life.said.keys() >= {*origins, "events", "mappings", "volumes", "api", "answer to no Pod"}
    assert all(text for name, text in life.said.items() if name != "warnings")
    for name in ("webhook", "secrets"):
        assert '"level": "debug"' in life.said[f"log of {name}"]
    assert "VolumeFailedDelete" in life.said["events"]
    assert "SourceMissing" in life.said["events"]


def test_a_secret_would_be_found_where_it_is(life: Life, canaries: dict[str, str]) -> None:
    """The copies have the password: the search finds what it looks for."""
    copy = life.control_plane.kubectl_json("get", "secret", "aliyun", "-n", TEAM)["data"][".dockerconfigjson"]
    assert canaries["basic auth"] in base64.b64decode(copy).decode()


def samples(life: Life) -> Iterator[Sample]:
    """As Prometheus has them."""
    for component, text in life.metrics.items():
        target = {**TARGET, "component": component}
        yield "up", target
        for family in text_string_to_metric_families(text):
            yield from ((sample.name, {**target, **sample.labels}) for sample in family.samples)


# The tokens process is none of the four; tests/tokens reads its metrics.
OF_THE_FOUR = [where for where, expression in expressions().items() if "sutler_registry_token" not in expression]


@pytest.mark.parametrize("where", OF_THE_FOUR)
def test_what_is_watched_is_exported(life: Life, where: str) -> None:
    expression = expressions()[where]
    wanted = promql.selectors(expression)
    assert wanted
    labels: set[str] = set()
    for selector in wanted:
        series = [labels for name, labels in samples(life) if name == selector.metric]
        assert series, f"no process exports {selector.metric}"
        assert all(label in series[0] for label, _, _ in selector.matchers), selector
        closed = selector._replace(matchers=tuple(one for one in selector.matchers if one[0] not in ANSWERS))
        assert any(closed.matches(each) for each in series), f"nothing matches {selector}"
        labels |= series[0].keys()
    assert promql.grouped(expression) <= labels


@pytest.fixture(scope="module")
def ended(life: Life) -> list[Json]:
    """Uninstalled by the guide's own commands; what Sutler's accounts asked for until then."""
    guide = (REPOSITORY / "docs" / "uninstall.md").read_text()
    steps = re.findall(r"^```sh\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "KUBECONFIG": str(life.control_plane.kubeconfig)}
    for number, step in enumerate(steps):
        if "delete deployment" in step:
            # There are none: the processes run beside the cluster.
            life.installation.stop()
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step],
            env=environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, f"step {number}: {ran.stderr}"
    with life.control_plane.audit_log.open() as log:
        return list(rights.entries(log))


def test_nothing_was_asked_for_that_is_not_granted(ended: list[Json]) -> None:
    assert rights.refused(ended) == []
    possible = rights.granted(rendered(BASE))
    assert [use for use in rights.used(ended) if not any(use.of(right) for right in possible)] == []


def test_every_right_is_used(ended: list[Json]) -> None:
    uses = rights.used(ended)
    idle = [right for right in rights.granted(rendered(BASE)) if not any(use.of(right) for use in uses)]
    assert {f"{right.account}: {right.verb} {right.resource}" for right in idle} == UNUSED.keys()


def test_uninstalled_without_a_trace(life: Life, ended: list[Json]) -> None:
    """But for the namespace with the credentials, and for volumes, which say who made them."""
    assert ended
    kinds = life.control_plane.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    everything = ",".join(kind for kind in kinds if not kind.startswith("events"))
    left = life.control_plane.kubectl_json("get", everything, "--all-namespaces")["items"]
    traces = {
        f"{one['kind']} {one['metadata']['name']}"
        for one in left
        if "sutler" in json.dumps(one) and one["metadata"].get("namespace") != NAMESPACE
    }
    (volume,) = (one["metadata"]["name"] for one in left if one["kind"] == "PersistentVolume")
    # Classes and claims are the users' own; the account is the one with which this test called the REST API.
    own = {"StorageClass rbd", "StorageClass nowhere", "PersistentVolumeClaim impossible", "PersistentVolumeClaim kept"}
    own |= {"ClusterRoleBinding console"}
    assert traces - own == {f"Namespace {NAMESPACE}", f"PersistentVolume {volume}"}
    in_own = {(one["kind"], one["metadata"]["name"]) for one in left if one["metadata"].get("namespace") == NAMESPACE}
    assert {kind for kind, _ in in_own} == {"ConfigMap", "Secret", "ServiceAccount"}
    assert ("Secret", "aliyun-credentials") in in_own
    assert {name for kind, name in in_own if kind == "ServiceAccount"} == {"default"}


@pytest.mark.usefixtures("ended")
def test_uninstalled_without_losing_data(life: Life, control_plane: ControlPlane) -> None:
    """The claim is still Bound; deleting it, and then its volume, leaves the image. Others still hold the volume."""
    claim = control_plane.kubectl_json("get", "pvc", "kept", "-n", TEAM)
    assert claim["status"]["phase"] == "Bound"
    images = life.ceph.rbd("ls", "rbd").split()
    assert any(claim["metadata"]["uid"] in image for image in images)
    control_plane.kubectl("delete", "pvc", "kept", "-n", TEAM, "--timeout=60s")
    name = claim["spec"]["volumeName"]
    control_plane.kubectl("delete", "pv", name, "--wait=false")
    finalizers = ("get", "pv", name, "-o", "jsonpath={.metadata.finalizers[*]}")
    wait_for(lambda: control_plane.kubectl(*finalizers) == ATTACHED, "only the attacher to hold the volume")
    control_plane.kubectl("patch", "pv", name, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    wait_for(lambda: not control_plane.there(f"/api/v1/persistentvolumes/{name}"), "the volume to go")
    assert life.ceph.rbd("ls", "rbd").split() == images
