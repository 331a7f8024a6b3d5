"""Words of kubectl as requests: what is known is what kubectl does, and the rest is left to kubectl."""

import json
import shlex
from typing import Any

import pytest

from tests.cluster import ClusterError, ControlPlane, kubectl_requests

_MAPPING = {"apiVersion": "sutler.dev/v1alpha1", "kind": "RegistryMapping", "metadata": {"name": "acme"}}
_SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "other"}}
_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "b"}}
_BACKGROUND = {"propagationPolicy": "Background"}


@pytest.mark.parametrize(
    ("words", "given", "expected"),
    [
        (
            "create -f -",
            _MAPPING,
            [("POST", "/apis/sutler.dev/v1alpha1/registrymappings?fieldValidation=Strict", _MAPPING)],
        ),
        (
            "create -n team -f -",
            _SECRET,
            [("POST", "/api/v1/namespaces/other/secrets?fieldValidation=Strict", _SECRET)],
        ),
        ("delete pv a b", None, [("DELETE", f"/api/v1/persistentvolumes/{name}", _BACKGROUND) for name in "ab"]),
        ("delete regmap --all", None, [("DELETE", "/apis/sutler.dev/v1alpha1/registrymappings", _BACKGROUND)]),
        ("-n team delete secret a", None, [("DELETE", "/api/v1/namespaces/team/secrets/a", _BACKGROUND)]),
        (
            "create -f - -o json --dry-run=server --validate=false",
            _SECRET,
            [("POST", "/api/v1/namespaces/other/secrets?fieldValidation=Ignore&dryRun=All", _SECRET)],
        ),
        (
            "-n team delete secrets --field-selector type=x",
            None,
            [("DELETE", "/api/v1/namespaces/team/secrets?fieldSelector=type%3Dx", _BACKGROUND)],
        ),
        ("delete -f -", _SECRET, [("DELETE", "/api/v1/namespaces/other/secrets/a", _BACKGROUND)]),
        ("replace --raw /a/status -f -", _SECRET, [("PUT", "/a/status", _SECRET)]),
        ("get regmap -o name", None, [("GET", "/apis/sutler.dev/v1alpha1/registrymappings", None)]),
        ("patch pv a -p {}", None, [("PATCH", "/api/v1/persistentvolumes/a", {})]),
        ("patch regmap a -p {}", None, [("PATCH", "/apis/sutler.dev/v1alpha1/registrymappings/a", {})]),
        (
            "label namespace a b=c d- --overwrite",
            None,
            [("PATCH", "/api/v1/namespaces/a", {"metadata": {"labels": {"b": "c", "d": None}}})],
        ),
        (
            "annotate pvc a b=c=d",
            None,
            [
                (
                    "PATCH",
                    "/api/v1/namespaces/default/persistentvolumeclaims/a",
                    {"metadata": {"annotations": {"b": "c=d"}}},
                )
            ],
        ),
    ],
)
def test_known_words_are_requests(words: str, given: object, expected: list[tuple[str, str, Any]]) -> None:
    found = kubectl_requests.requests(shlex.split(words), None if given is None else json.dumps(given))
    assert found is not None
    assert [(one.method, one.path, one.body) for one in found] == [one[:3] for one in expected]


def test_deleting_waits_for_the_end_and_takes_absence_only_as_asked() -> None:
    (plain,) = kubectl_requests.requests(["delete", "pv", "a"], None) or []
    (quick,) = kubectl_requests.requests(["delete", "pv", "a", "--wait=false", "--ignore-not-found"], None) or []
    assert (plain.waits, plain.may_be_absent) == (True, False)
    assert (quick.waits, quick.may_be_absent) == (False, True)


@pytest.mark.parametrize(
    "words",
    [
        "get pods",
        "get pods -o wide",
        "get pod a -o jsonpath={.status}",
        "create -f - --dry-run=client",
        "delete pods a --all",
        "delete deployments,secrets a",
        "delete crontab a",
        "create secret generic a --from-literal=b=c",
        "create -f file.yaml",
        "apply -k folder",
        "patch pv a --type=json --subresource=status -p []",
        "label namespace --all a=b",
        "annotate pvc a -l b=c d=e",
    ],
)
def test_other_words_are_left_to_kubectl(words: str) -> None:
    assert kubectl_requests.requests(shlex.split(words), None) is None


def test_unknown_kind_among_documents_is_left_to_kubectl() -> None:
    both = json.dumps({"kind": "List", "items": [_SECRET, {"apiVersion": "v2", "kind": "Secret", "metadata": {}}]})
    assert kubectl_requests.requests(["apply", "-f", "-"], both) is None


def test_outputs_are_those_of_kubectl(control_plane: ControlPlane, namespace: str) -> None:
    for words in (["get", "sa", "-n", namespace], ["get", "clusterrole", "view"]):
        for output in "name", "json":
            assert kubectl_requests.requests([*words, "-o", output], None)
            # With an option that is not known here, kubectl itself runs.
            slow = control_plane.kubectl(*words, "-o", output, "--request-timeout=30s")
            quick = control_plane.kubectl(*words, "-o", output)
            if output == "name":
                assert quick == slow
            else:
                listed = [one.get("items", [one]) for one in (json.loads(quick), json.loads(slow))]
                assert listed[0] == listed[1]
    assert control_plane.kubectl("get", "pod", "nothing", "-n", namespace, "--ignore-not-found", "-o", "name") == ""
    made = json.loads(
        control_plane.kubectl("create", "-f", "-", "-o", "json", "--dry-run=server", input=json.dumps(_MAP))
    )
    assert made["data"] == {"a": "b"}
    assert "made" not in control_plane.kubectl("get", "configmaps", "-o", "name")


@pytest.mark.parametrize(("words", "content_type"), [("pv", "strategic-merge"), ("regmap", "merge")])
def test_patch_is_of_the_kind_that_the_resource_knows(words: str, content_type: str) -> None:
    (patch,) = kubectl_requests.requests(["patch", words, "a", "-p", "{}"], None) or []
    assert patch.content_type == f"application/{content_type}-patch+json"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("get pvc -n a", "/api/v1/namespaces/a/persistentvolumeclaims"),
        ("-n a get pvc data", "/api/v1/namespaces/a/persistentvolumeclaims/data"),
        ("get pods", "/api/v1/namespaces/default/pods"),
        ("get events -A --field-selector reason=x,type=y", "/api/v1/events?fieldSelector=reason%3Dx%2Ctype%3Dy"),
        ("get pv pvc-1 -n a", "/api/v1/persistentvolumes/pvc-1"),
        ("get storageclass fast", "/apis/storage.k8s.io/v1/storageclasses/fast"),
        ("get regmap quay", "/apis/sutler.dev/v1alpha1/registrymappings/quay"),
        ("get pod/one -n a", None),
        ("get pods one two", None),
        ("get pods --show-labels", None),
        ("get widgets", None),
        ("create -f -", None),
    ],
)
def test_words_of_kubectl_become_a_path(words: str, path: str | None) -> None:
    found = kubectl_requests.requests([*words.split(), "-o", "json"], None)
    assert ([one.path for one in found] if found else None) == (path and [path])


def test_what_is_read_is_what_kubectl_shows(control_plane: ControlPlane, namespace: str) -> None:
    for words in (["get", "serviceaccounts"], ["get", "serviceaccount", "default"]):
        where = [*words, "-n", namespace]
        assert kubectl_requests.requests([*where, "-o", "json"], None)
        slow, quick = control_plane.kubectl(*where, "-o", "yaml"), control_plane.kubectl_json(*where)
        for shown in slow, quick:
            assert "managedFields" not in str(shown)
        assert quick["kind"] in slow
        listed = quick.get("items", [quick])
        assert [(one["kind"], one["metadata"]["name"]) for one in listed] == [("ServiceAccount", "default")]
    with pytest.raises(ClusterError, match="not found"):
        control_plane.kubectl_json("get", "pod", "nothing", "-n", namespace)
    assert control_plane.there(f"/api/v1/namespaces/{namespace}/pods/nothing") is None
