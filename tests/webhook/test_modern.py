"""The overlay for newer servers on one of them: what it asks the webhook, and what else may change a Pod beside it."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.cluster.installation import Installation
from tests.webhook.cluster import APP, Cluster, mapping
from tests.webhook.pods import Json

pytestmark = pytest.mark.needs(kubernetes="1.30", kubectl="1.21", why="older servers know no matchConditions")

INJECT, WARN = "inject.sutler.dev", "warn.sutler.dev"
EXCLUDED = "apiserver_admission_match_condition_exclusions_total"
ERRORS = "apiserver_admission_match_condition_evaluation_errors_total"


@pytest.fixture(scope="module")
def webhook(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    state = tmp_path_factory.mktemp("sutler")
    installation = Installation(control_plane, None, place, state, manifests="overlays/modern")
    installation.apply()
    yield installation.run("webhook")
    installation.stop()


@pytest.fixture
def cluster(control_plane: ControlPlane, webhook: SutlerProcess, namespace: str) -> Iterator[Cluster]:
    cluster = Cluster(control_plane, webhook, namespace)
    cluster.apply(mapping("quay", "quay.io/acme"), mapping("tools", "tools.example.com"))
    cluster.until_injected(["quay-secret"])
    cluster.until_injected(["tools-secret"], "tools.example.com/x")
    yield cluster
    control_plane.kubectl("delete", "registrymappings", "--all")


class Asked:
    """How many requests of each of the two webhooks the API server kept to itself, and how many it sent."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._before = self._counts()

    def since(self) -> dict[str, int]:
        now = self._counts()
        return {what: count - self._before[what] for what, count in now.items() if count != self._before[what]}

    def _counts(self) -> dict[str, int]:
        counts = dict.fromkeys((f"not {INJECT}", f"not {WARN}", "sent"), 0)
        # All of them are megabytes, which take seconds to parse.
        lines = self._cluster.control_plane.kubectl("get", "--raw", "/metrics").splitlines(keepends=True)
        text = "".join(line for line in lines if line.startswith((EXCLUDED, ERRORS)))
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                assert sample.name != ERRORS or sample.labels["name"] not in {INJECT, WARN}, sample
                if (what := f"not {sample.labels['name']}") in counts:
                    counts[what] += int(sample.value)
        requests = "sutler_admission_requests_total"
        metrics = self._cluster.webhook.metrics().items()
        counts["sent"] = int(sum(value for name, value in metrics if name.startswith(requests)))
        return counts


def test_only_pods_that_may_need_a_secret_are_sent(cluster: Cluster) -> None:
    asked = Asked(cluster)
    assert cluster.names() == ["quay-secret"]
    assert asked.since().keys() == {"sent"}

    asked = Asked(cluster)
    assert cluster.names(metadata={"annotations": {"sutler.dev/inject": "false"}}) == []
    mirror = {"annotations": {"kubernetes.io/config.mirror": "0123456789abcdef"}}
    assert cluster.names(metadata=mirror, nodeName="some-node", automountServiceAccountToken=False) == []
    # By label, no condition is asked: the selector has left it out.
    assert cluster.names(metadata={"labels": {"sutler.dev/inject": "false"}}) == []
    assert asked.since() == {f"not {INJECT}": 2}


def test_only_updates_that_bring_in_an_image_are_sent(cluster: Cluster) -> None:
    name = cluster.create("nginx")[0]["metadata"]["name"]
    pod = ["-n", cluster.namespace]
    asked = Asked(cluster)
    cluster.kubectl(*pod, "label", "pod", name, "touched=1")
    cluster.kubectl(*pod, "annotate", "pod", name, "touched=1")
    assert asked.since() == {f"not {WARN}": 2}

    asked = Asked(cluster)
    warning = "Warning: sutler: pull secret quay-secret (mapping quay) can't be added to an existing Pod"
    assert warning in cluster.set_image(name, APP)
    warning = "Warning: sutler: pull secret tools-secret (mapping tools) can't be added to an existing Pod"
    assert warning in cluster.kubectl(*pod, "debug", name, "--image=tools.example.com/x", "--profile=general")[1]
    assert asked.since() == {"sent": 2}


def policy(name: str, value: str, **spec: Any) -> list[Json]:
    """One that sets the image of each Pod labelled rewrite=yes to what this expression says, and its binding."""
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    patch = f'[JSONPatch{{op: "replace", path: "/spec/containers/0/image", value: {value}}}]'
    rewriting = {
        "matchConstraints": {"resourceRules": [pods], "objectSelector": {"matchLabels": {"rewrite": "yes"}}},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"MutatingAdmissionPolicy{kind}",
            "metadata": {"name": name},
            "spec": content,
        }
        for kind, content in {"": rewriting | spec, "Binding": {"policyName": name}}.items()
    ]


FROM_CACHE = 'object.spec.containers[0].image.replace("cache.example.com/", "quay.io/")'
# When it has a pull secret already, the policy is asked a second time.
TWICE = f'has(object.spec.imagePullSecrets) ? "tools.example.com/x" : {FROM_CACHE}'


@pytest.mark.needs(kubernetes="1.36", why="older servers have no MutatingAdmissionPolicy of version v1")
@pytest.mark.parametrize(
    ("name", "spec", "expression", "names"),
    [
        ("once", {}, FROM_CACHE, ["quay-secret"]),
        ("again", {"reinvocationPolicy": "IfNeeded"}, TWICE, ["quay-secret", "tools-secret"]),
    ],
)
def test_image_that_a_policy_of_the_server_rewrites_gets_its_secret(
    cluster: Cluster, name: str, spec: Json, expression: str, names: list[str]
) -> None:
    rewritten = {"labels": {"rewrite": "yes"}}
    cluster.apply(*policy(name, expression, **spec))
    try:
        cluster.until_injected(names, "cache.example.com/acme/app:1", metadata=rewritten)
        created, said = cluster.create("cache.example.com/acme/app:1", metadata=rewritten)
        image = created["spec"]["containers"][0]["image"]
        assert image == ("quay.io/acme/app:1" if name == "once" else "tools.example.com/x")
        assert said == ""
    finally:
        cluster.kubectl("delete", f"mutatingadmissionpolicy/{name}", f"mutatingadmissionpolicybinding/{name}")
    wait_for(lambda: cluster.names("cache.example.com/acme/app:1", metadata=rewritten) == [], "the policy to be gone")
