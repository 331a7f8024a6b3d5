"""The webhook as the real API server calls it: registered by URL, under its own account, with the manifests' rights."""

import http.client
import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.cluster.installation import Installation
from tests.webhook.cluster import APP, Cluster, mapping
from tests.webhook.other_webhook import rewriter
from tests.webhook.pods import body


@pytest.fixture(scope="module")
def installation(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    installation = Installation(control_plane, None, place, tmp_path_factory.mktemp("sutler"))
    installation.apply()
    yield installation
    installation.stop()


@pytest.fixture(scope="module")
def webhook(installation: Installation) -> SutlerProcess:
    return installation.run("webhook")


@pytest.fixture
def cluster(control_plane: ControlPlane, webhook: SutlerProcess, namespace: str) -> Iterator[Cluster]:
    """With one mapping, `quay`, for quay.io/acme."""
    cluster = Cluster(control_plane, webhook, namespace)
    cluster.apply(mapping("quay", "quay.io/acme"))
    cluster.until_injected(["quay-secret"])
    yield cluster
    control_plane.kubectl("delete", "registrymappings", "--all")


def test_pod_gets_its_pull_secret_and_nothing_else_changes(cluster: Cluster) -> None:
    opted_out, _ = cluster.create("quay.io/acmecorp/app:1")
    created, said = cluster.create(APP)
    assert created["spec"].pop("imagePullSecrets") == [{"name": "quay-secret"}]
    assert "imagePullSecrets" not in opted_out["spec"]
    for each in (created, opted_out):
        for container in each["spec"]["containers"]:
            container.pop("image")
            container["volumeMounts"][0].pop("name")  # a generated name, as is the volume's
        each["spec"]["volumes"][0].pop("name")
        each["spec"]["volumes"][0].pop("secret", None)
    assert created["spec"] == opted_out["spec"]
    assert said == ""


def test_own_secrets_and_the_service_accounts_stay_first(cluster: Cluster) -> None:
    assert cluster.names(imagePullSecrets=[{"name": "mine"}]) == ["mine", "quay-secret"]
    assert cluster.names(imagePullSecrets=[{"name": "quay-secret"}]) == ["quay-secret"]
    metadata = {"name": "builder", "namespace": cluster.namespace}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    cluster.apply(account | {"imagePullSecrets": [{"name": "of-the-account"}]})
    cluster.until_injected(["of-the-account", "quay-secret"], serviceAccountName="builder")


def test_every_kind_of_image_counts(cluster: Cluster) -> None:
    assert cluster.names("nginx", initContainers=[{"name": "init", "image": APP}]) == ["quay-secret"]
    assert cluster.names("nginx") == []


def test_image_that_another_webhook_rewrites_later_counts_as_it_is_then(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """The API server calls ours once more, on its own output too, and that changes nothing."""
    cluster.apply(mapping("tools", "tools.example.com"))
    images = [{"name": "tool", "image": "tools.example.com/x"}, {"name": "app", "image": "cache.example.com/acme/app"}]
    rewritten = {"labels": {"rewrite": "yes"}}
    with rewriter(place.port(), tmp_path) as registration:
        cluster.until_injected(["tools-secret"], "tools.example.com/x")
        cluster.apply(registration)
        try:
            cluster.until_injected(["tools-secret", "quay-secret"], containers=images, metadata=rewritten)
        finally:
            cluster.control_plane.kubectl("delete", "mutatingwebhookconfiguration", "zz-rewriter")


def test_new_image_of_a_pod_that_exists_is_warned_of(cluster: Cluster) -> None:
    """As by kubectl set image: its pull secrets can't change any more."""
    name = cluster.create("nginx")[0]["metadata"]["name"]
    warning = "Warning: sutler: pull secret quay-secret (mapping quay) can't be added to an existing Pod"
    assert warning in cluster.set_image(name, APP)
    assert cluster.set_image(name, "nginx:2") == ""


def test_pod_opts_out_by_label_or_annotation(cluster: Cluster) -> None:
    for kind in ("labels", "annotations"):
        assert cluster.names(metadata={kind: {"sutler.dev/inject": "false"}}) == []


def test_mirror_pod_is_left_alone(cluster: Cluster) -> None:
    mirror = {"annotations": {"kubernetes.io/config.mirror": "0123456789abcdef"}}
    before = cluster.metric("sutler_admission_requests_total", outcome="mirror")
    assert cluster.names(metadata=mirror, nodeName="some-node", automountServiceAccountToken=False) == []
    assert cluster.metric("sutler_admission_requests_total", outcome="mirror") == before + 1


def test_account_that_enforces_mountable_secrets_is_not_made_to_refuse_its_pods(cluster: Cluster) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": "strict",
            "namespace": cluster.namespace,
            "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"},
        },
    }
    cluster.apply(account)
    # Until both the API server's admission and the webhook know the account, creating may fail or be refused.
    wait_for(lambda: _created_quietly(cluster), "a Pod of the strict account")
    created, said = cluster.create(serviceAccountName="strict", automountServiceAccountToken=False)
    assert "imagePullSecrets" not in created["spec"]
    assert "ServiceAccount strict does not list pull secret quay-secret" in said
    cluster.apply(account | {"imagePullSecrets": [{"name": "quay-secret"}, {"name": "other"}]})
    cluster.until_injected(["quay-secret", "other"], serviceAccountName="strict", automountServiceAccountToken=False)


def _created_quietly(cluster: Cluster) -> bool:
    try:
        return cluster.names(serviceAccountName="strict", automountServiceAccountToken=False) == []
    except AssertionError:
        return False


def test_namespace_that_is_a_moment_old_is_known(cluster: Cluster) -> None:
    cluster.apply(mapping("blue", "blue.io", selector={"matchLabels": {"team": "blue"}}))
    known = f"blue-{secrets.token_hex(4)}"
    cluster.control_plane.create_namespace(known)
    cluster.control_plane.kubectl("label", "namespace", known, "team=blue")
    cluster.until_injected(["blue-secret"], "blue.io/app", metadata={"namespace": known})
    for _ in range(5):
        name = f"blue-{secrets.token_hex(4)}"
        labelled = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": "blue"}}}
        # One call for both, so that the Pod follows at once; it needs no account that has yet to be made.
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "app", "namespace": name},
            "spec": {"containers": [{"name": "app", "image": "blue.io/app"}], "automountServiceAccountToken": False},
        }
        cluster.control_plane.kubectl("create", "-f", "-", input=yaml.safe_dump_all([labelled, pod]))
        created = cluster.control_plane.kubectl_json("get", "pod", "app", "-n", name)
        assert created["spec"]["imagePullSecrets"] == [{"name": "blue-secret"}]
        cluster.control_plane.empty_namespace(name)


def test_labels_of_a_namespace_count_as_they_are_now(cluster: Cluster) -> None:
    cluster.apply(mapping("blue", "blue.io", selector={"matchLabels": {"team": "blue"}}))
    cluster.control_plane.kubectl("label", "namespace", cluster.namespace, "team=blue")
    cluster.until_injected(["blue-secret"], "blue.io/app")
    cluster.control_plane.kubectl("label", "namespace", cluster.namespace, "team-")
    cluster.until_injected([], "blue.io/app")


def test_mappings_count_as_they_are_now(cluster: Cluster) -> None:
    cluster.apply(mapping("quay", "quay.io/acme", mode="Observe"))
    cluster.until_injected([])
    cluster.apply(mapping("quay", "quay.io/other"))
    cluster.until_injected(["quay-secret"], "quay.io/other/app")
    cluster.until_injected([])
    cluster.control_plane.kubectl("delete", "registrymapping", "quay")
    cluster.until_injected([], "quay.io/other/app")


def test_bad_mapping_does_not_stop_the_others(cluster: Cluster) -> None:
    cluster.apply(mapping("bad", "registry:99999"), mapping("good", "good.io"))
    cluster.until_injected(["good-secret"], "good.io/app")
    cluster.until_injected(["quay-secret"])
    assert cluster.metric("sutler_mappings", usable="false") == 1
    # A good one that turns bad is not used as it was.
    cluster.apply(mapping("good", "good.io", "registry:99999"))
    cluster.until_injected([], "good.io/app")
    assert "port '99999'" in cluster.webhook.log_text()


def test_mapping_whose_source_is_missing_is_injected_with_a_warning(cluster: Cluster) -> None:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "SourceMissing",
        "message": "Secret quay-credentials is not there",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    path = "/apis/sutler.dev/v1alpha1/registrymappings/quay"
    found = json.loads(cluster.control_plane.kubectl("get", "--raw", path))
    found["status"] = {"conditions": [condition]}
    cluster.control_plane.kubectl("replace", "--raw", f"{path}/status", "-f", "-", input=json.dumps(found))
    said = wait_for(lambda: cluster.create(APP, "--dry-run=server")[1], "a warning")
    assert said == "Warning: sutler: pull secret quay-secret: SourceMissing: Secret quay-credentials is not there\n"
    cluster.until_injected(["quay-secret"])


def test_image_that_does_not_parse_is_a_warning(cluster: Cluster) -> None:
    created, said = cluster.create("quay.io/acme/App:1")
    assert "imagePullSecrets" not in created["spec"]
    assert "Warning: sutler: image 'quay.io/acme/App:1' is no image reference" in said


def test_audit_log_says_which_mapping_asked_for_what(cluster: Cluster) -> None:
    created, _ = cluster.create(APP)
    name = created["metadata"]["name"]

    def logged() -> Any:
        for line in cluster.control_plane.audit_log.read_text().splitlines():
            event = json.loads(line)
            # The name was generated after the request came in; the annotation is found by what created it.
            if event.get("objectRef", {}).get("namespace") == cluster.namespace and event["verb"] == "create":
                annotation = event.get("annotations", {}).get("inject.sutler.dev/injected")
                if annotation:
                    return annotation
        return None

    assert wait_for(logged, f"the audit event of {name}") == "quay-secret (mapping quay)"


def test_metrics_count_outcomes_and_mappings(cluster: Cluster) -> None:
    before = cluster.metric("sutler_admission_requests_total", outcome="injected")
    matches = cluster.metric("sutler_mapping_matches_total", mapping="quay")
    cluster.names()
    # The API server may ask twice: another webhook or its own plugins may have changed the Pod after us.
    assert cluster.metric("sutler_admission_requests_total", outcome="injected") == before + 1
    assert cluster.metric("sutler_mapping_matches_total", mapping="quay") >= matches + 1
    assert cluster.metric("sutler_admission_duration_seconds_count") > 0


def ask(webhook: SutlerProcess, content: bytes) -> tuple[int, str]:
    """The webhook itself, past the API server."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(webhook.url.removeprefix("https://"), timeout=10, context=context)
    try:
        connection.request("POST", "/mutate", content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("seconds", [0, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_api_server_that_is_away_leaves_the_last_known_mappings_in_force(cluster: Cluster, seconds: float) -> None:
    content = body({"spec": {"containers": [{"image": APP}]}}, namespace=cluster.namespace)
    cluster.control_plane.pause()
    until = time.monotonic() + seconds
    try:
        while True:
            status, text = ask(cluster.webhook, content)
            assert status == 200
            assert "patch" in json.loads(text)["response"]
            assert cluster.webhook.probe("readyz") == (200, "ok\n")
            if time.monotonic() >= until:
                break
            time.sleep(5)
    finally:
        cluster.control_plane.resume()
    cluster.until_injected(["quay-secret"])


@pytest.mark.long  # short: tests/kube/test_reflector.py, by which the webhook watches
def test_api_server_that_comes_back_is_followed_again(cluster: Cluster) -> None:
    cluster.control_plane.restart_apiserver()
    cluster.apply(mapping("later", "later.io"))
    cluster.until_injected(["later-secret"], "later.io/app")


def test_crash_loses_nothing(cluster: Cluster) -> None:
    cluster.webhook.kill9()
    assert cluster.names() == []  # failurePolicy Ignore: Pods are created without us
    cluster.webhook.restart()
    cluster.until_injected(["quay-secret"])


def test_stop_is_clean_and_quick(cluster: Cluster) -> None:
    assert cluster.webhook.process.stop() == 0
    assert "Traceback" not in cluster.webhook.log_text()
    cluster.webhook.restart()
    cluster.until_injected(["quay-secret"])


def test_webhook_without_an_api_server_asks_to_come_again(place: Place, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        unused = free.getsockname()[1]
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{unused}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    webhook = SutlerProcess(["webhook"], kubeconfig=path, place=place, state=tmp_path)
    webhook.launch()
    try:
        status, text = wait_for(lambda: _probed(webhook), "the probes to answer")
        assert status == 503
        assert "not seen yet: mappings, namespaces, service accounts" in text
        assert "certificate: no certificate is loaded" in text
        assert webhook.probe("healthz") == (200, "ok\n")
    finally:
        webhook.stop()
    assert "Traceback" not in webhook.log_text()


def _probed(webhook: SutlerProcess) -> tuple[int, str] | None:
    status, text = webhook.probe("readyz")
    return (status, text) if status else None
