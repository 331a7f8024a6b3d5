"""The values of the chart: each reaches its place, and what the chart does not know is refused with the right name."""

import json
from typing import Any

import pytest

from tests.chart.files import schema
from tests.chart.foreign import FOREIGN, FOREIGN_GLOBALS, FOREIGN_LISTS
from tests.chart.values import values
from tests.manifests.helm import Objects, refusal, render, render_each
from tests.manifests.rendered import Json, container, pods

PROCESSES = ("webhook", "secrets", "volumes", "api", "tokens")
TOLERATION = {"key": "dedicated", "operator": "Exists"}
AFFINITY: Json = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
SET: Json = {
    "image": {
        "registry": "registry.example.com",
        "repository": "public/sutler",
        "tag": "1.2.3",
        "pullPolicy": "Always",
    },
    "imagePullSecrets": [{"name": "own"}],
    "global": {"imagePullSecrets": [{"name": "shared"}, "text"], "other": {"chart": True}},
    "nodeSelector": {"zone": "a"},
    "tolerations": [TOLERATION],
    "affinity": AFFINITY,
    "priorityClassName": "high",
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy"}, {"name": "A", "value": "all"}],
    "extraArgs": ["--log-level=debug"],
    "networkPolicy": {"apiServerPorts": [7443]},
    "webhook": {
        "replicaCount": 5,
        "failurePolicy": "Fail",
        "timeoutSeconds": 7,
        "excludedNamespaces": ["kube-system", "ceph"],
        "resources": {"requests": {"cpu": 1}},
        "extraEnv": [{"name": "A", "value": "own"}],
        "extraArgs": ["--quiet-seconds", "20"],
        "serviceAccount": {"annotations": {"e": "f"}},
        "affinity": {"podAffinity": {}},
        "nodeSelector": {"zone": "b"},
        "priorityClassName": "highest",
    },
    "secrets": {
        "extraVolumes": [{"name": "v", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
    },
    "volumes": {
        "ceph": {"secretName": "", "user": "rbd"},
        "cephClusters": {"east": "sutler-ceph-east", "b9127830-b0cc-4e34-aa47-9d1a2e9949a8": "west"},
    },
    "api": {
        "ceph": {"secretName": "mine", "user": "images", "poolsUser": "pools"},
        "dnsNames": ["api.example.com"],
        "priorityClassName": "low",
    },
    "tokens": {"enabled": True},
    "csi": {"enabled": True, "clusterID": "east", "pool": "fast", "nodeStageSecret": "nodes"},
    "prometheus": {"enabled": True, "labels": {"release": "stack"}, "dashboard": {"enabled": False}},
    "test": {"namespace": "team"},
}
# Files as they are written for other charts, which work as they are.
WORK: dict[str, Json] = {
    "crds": {"crds": {"enabled": True, "keep": True}},
    "webhook": {"webhook": {"timeoutSeconds": 10, "replicaCount": 2, "extraArgs": ["--log-level=debug"]}},
    "prometheus": {"prometheus": {"enabled": False}},
    "pull secrets": {"global": {"imagePullSecrets": [{"name": "registry"}]}},
    "nodes": {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [TOLERATION], "affinity": AFFINITY},
    "budget": {"podDisruptionBudget": {"enabled": True}},
    "network": {"networkPolicy": {"enabled": False}},
    "image": {"image": {"repository": "r.example.com/sutler", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"}},
    "no tag": {"image": {"tag": ""}},
    "no namespace": {"webhook": {"excludedNamespaces": []}},
    "none": {name: {"enabled": False} for name in PROCESSES},
}
# What the schema refuses, and what it says.
WRONG: list[tuple[Json, list[str]]] = [
    ({"surprise": 1}, ["surprise"]),
    ({"webhook": {"timeoutSeconds": 31}}, ["webhook/timeoutSeconds", "30"]),
    ({"webhook": {"failurePolicy": "fail"}}, ["webhook/failurePolicy", "'Ignore', 'Fail'"]),
    ({"webhook": {"replicaCount": "three"}}, ["webhook/replicaCount", "integer"]),
    ({"certificates": {"source": "certmanager"}}, ["certificates/source", "'sutler', 'cert-manager'"]),
    ({"crds": {"keep": False}}, ["crds/keep", "true"]),
    ({"secrets": {"extraArgs": ["--v=2"]}}, ["secrets/extraArgs/0", "log-level", "unused-copies-after"]),
    ({"webhook": {"extraArgs": ["--port=9443"]}}, ["webhook/extraArgs/0"]),
    ({"imagePullSecrets": ["registry"]}, ["imagePullSecrets/0", "object"]),
    ({"tolerations": [{"operator": "Exist"}]}, ["tolerations/0/operator", "'Exists'"]),
    ({"image": {"digest": "sha256:1"}}, ["image/digest"]),
    ({"volumes": {"cephClusters": {"east": ["a"]}}}, ["volumes/cephClusters/east", "string"]),
    ({"api": {"extraEnv": [{"name": "A", "value": 1}]}}, ["api/extraEnv/0/value", "string"]),
]
# What no schema can express.
TOGETHER: list[tuple[Json, tuple[str, ...], list[str]]] = [
    ({"csi": {"enabled": True}, "inTree": {"enabled": True}}, (), ["csi.enabled and inTree.enabled"]),
    (
        {"modern": {"enabled": True}},
        ("--kube-version=1.29.0",),
        ["needs Kubernetes 1.30", "podDisruptionBudget.enabled"],
    ),
    (
        {"api": {"podLabels": {"app.kubernetes.io/component": "x"}}},
        (),
        ["api.podLabels", "app.kubernetes.io/component"],
    ),
]


@pytest.fixture(scope="module")
def found() -> Objects:
    return render(SET)


def deployed(found: Objects, process: str) -> Json:
    one: Json = pods(list(found.values()))[f"sutler-{process}"]
    return one


def test_every_value_has_a_description_and_its_default_in_the_schema() -> None:
    root = schema()
    assert len({one.name for one in values()}) == len(values()) > 100
    for one in values():
        node = root
        for part in one.name.split("."):
            assert node["additionalProperties"] is False or part == "imagePullSecrets"
            node = node["properties"][part]
        assert node["description"].endswith((".", "}."))
        assert node["default"] == one.default


def test_values_of_all_pods(found: Objects) -> None:
    for process in PROCESSES:
        pod = deployed(found, process)
        assert container(pod)["image"] == "registry.example.com/public/sutler:1.2.3"
        assert container(pod)["imagePullPolicy"] == "Always"
        spec = pod["spec"]
        assert spec["imagePullSecrets"] == [{"name": "own"}, {"name": "shared"}, {"name": "text"}]
        assert spec["tolerations"] == [TOLERATION]
        assert pod["metadata"]["annotations"] == {"a": "b"}
        assert pod["metadata"]["labels"]["c"] == "d"
        assert container(pod)["args"][:1] == ["--log-level=debug"]
        assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in container(pod)["env"]
    classes = {process: deployed(found, process)["spec"]["priorityClassName"] for process in PROCESSES}
    assert classes == {"webhook": "highest", "secrets": "high", "volumes": "high", "api": "low", "tokens": "high"}


def test_values_of_the_webhook(found: Objects) -> None:
    pod = deployed(found, "webhook")
    assert container(pod)["args"] == ["--log-level=debug", "--quiet-seconds", "20"]
    variables = {one["name"]: one["value"] for one in container(pod)["env"]}
    assert variables["A"] == "own"
    assert json.loads(variables["SUTLER_EXCLUDED_NAMESPACES"]) == ["kube-system", "ceph"]
    assert container(pod)["resources"]["requests"]["cpu"] == 1
    assert pod["spec"]["nodeSelector"] == {"zone": "b"}
    assert pod["spec"]["affinity"] == {"podAffinity": {}}
    assert found["Deployment", "sutler-system", "sutler-webhook"]["spec"]["replicas"] == 5
    inject, warn = found["MutatingWebhookConfiguration", "", "sutler-webhook"]["webhooks"]
    assert (inject["failurePolicy"], inject["timeoutSeconds"]) == ("Fail", 7)
    assert (warn["failurePolicy"], warn["timeoutSeconds"]) == ("Ignore", 1)
    for one in (inject, warn):
        names = one["namespaceSelector"]["matchExpressions"][0]
        assert names["values"] == ["sutler-system", "kube-system", "ceph"]
    assert found["ServiceAccount", "sutler-system", "sutler-webhook"]["metadata"]["annotations"] == {"e": "f"}


def test_values_of_ceph(found: Objects) -> None:
    pod = deployed(found, "volumes")
    variables = {one["name"]: one["value"] for one in container(pod)["env"]}
    assert variables["SUTLER_CEPH_USER"] == "rbd"
    mounts = {
        one["mountPath"].removeprefix(variables["SUTLER_CEPH_CLUSTERS"]): one["name"]
        for one in container(pod)["volumeMounts"]
    }
    secrets = {one["name"]: one["secret"]["secretName"] for one in pod["spec"]["volumes"]}
    by_cluster = {path.strip("/"): secrets[name] for path, name in mounts.items()}
    assert by_cluster == SET["volumes"]["cephClusters"]
    assert all(len(name) <= 63 for name in secrets)
    api = deployed(found, "api")
    assert {one["name"]: one["value"] for one in container(api)["env"]}["SUTLER_POOLS_USER"] == "pools"
    assert [one["secret"] for one in api["spec"]["volumes"]] == [{"secretName": "mine", "optional": True}]
    classes = [one for (kind, _, _), one in found.items() if kind == "StorageClass"]
    assert {one["parameters"]["pool"] for one in classes} == {"fast"}
    assert {one["parameters"]["csi.storage.k8s.io/node-stage-secret-name"] for one in classes} == {"nodes"}


def test_other_values(found: Objects) -> None:
    egress = found["NetworkPolicy", "sutler-system", "sutler-to-api-server"]["spec"]["egress"]
    assert [port["port"] for port in egress[0]["ports"]] == [7443]
    assert found["PodMonitor", "sutler-system", "sutler"]["metadata"]["labels"]["release"] == "stack"
    assert not any(kind == "ConfigMap" for kind, _, _ in found)
    (granted,) = (one for one in found.values() if one["kind"] == "Role" and one["metadata"]["namespace"] == "team")
    assert granted["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]


def test_files_for_other_charts_work() -> None:
    made = render_each(WORK)
    pod = pods(list(made["pull secrets"].values()))["sutler-webhook"]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    image = container(pods(list(made["image"].values()))["sutler-api"])["image"]
    assert image == f"r.example.com/sutler@sha256:{'0' * 64}"
    assert container(pods(list(made["no tag"].values()))["sutler-api"])["image"] == "sutler:0.1.0"
    assert not any(kind == "NetworkPolicy" for kind, _, _ in made["network"])
    inject = made["no namespace"]["MutatingWebhookConfiguration", "", "sutler-webhook"]["webhooks"][0]
    assert inject["namespaceSelector"]["matchExpressions"][0]["values"] == ["sutler-system"]
    assert not any(kind in {"Deployment", "ServiceAccount"} for kind, _, _ in made["none"])


def test_names_of_other_charts_are_refused_with_the_right_name() -> None:
    """All at once."""
    given: Json = {}
    for name in FOREIGN:
        *path, last = name.split(".")
        node: dict[str, Any] = given
        for part in path:
            node = node.setdefault(part, {})
        node[last] = True
    said = refusal({**given, "global": dict.fromkeys(FOREIGN_GLOBALS, True)})
    for name, instead in {**FOREIGN, **{f"global.{name}": one for name, one in FOREIGN_GLOBALS.items()}}.items():
        assert f"- {name} is not a value of Sutler: use {instead}\n" in said, name
    said = refusal({name: [{"name": "x"}] for name in FOREIGN_LISTS})
    assert all(f"- {name} is a section of Sutler and no list: use {one}" in said for name, one in FOREIGN_LISTS.items())


def test_right_names_are_values() -> None:
    names = {one.name for one in values()}
    sections = {name.partition(".")[0] for name in names}
    for instead in {*FOREIGN.values(), *FOREIGN_GLOBALS.values(), *FOREIGN_LISTS.values()}:
        first = instead.split(":")[0].split(",")[0].split(" and ")[0].split(";")[0]
        free = ("nothing", "helm --namespace", "a chart or a manifest")
        assert first in names | sections or first.startswith(free), instead


def test_globals_of_others_are_left_alone_in_a_chart_that_contains_this_one() -> None:
    assert render_each({"one": {"global": dict.fromkeys(FOREIGN_GLOBALS, True)}})["one"]


def test_wrong_values_are_refused_with_the_right_one() -> None:
    """All at once."""
    given: Json = {}
    for each, _ in WRONG:
        for section, value in each.items():
            given[section] = {**given.get(section, {}), **value} if isinstance(value, dict) else value
    said = refusal(given)
    assert [word for _, words in WRONG for word in words if word not in said] == [], said


def test_values_that_exclude_each_other_are_refused() -> None:
    for given, options, words in TOGETHER:
        said = refusal(given, *options)
        assert [word for word in words if word not in said] == [], said
