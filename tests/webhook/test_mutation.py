"""What becomes of a Pod, by everything that can be the case with it."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.injection import Account
from sutler.registry.mapping import Mapping, Mode
from sutler.registry.selector import LabelSelector
from tests.webhook.pods import BLUE, GHCR, QUAY, Json, decided, patched, pod, response_to, secrets_after, state
from webhook.decision_cache import AdmissionOutcome
from webhook.informers import mapping_entry
from webhook.review import ReviewError
from webhook.state import UNRESTRICTED, StateProblem, account_entry

APP = "quay.io/acme/app:1"
TOOL = "ghcr.io/acme/tool@sha256:" + "a" * 64


def named(names: list[str] | None) -> list[Json] | None:
    return None if names is None else [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (pod(APP)["spec"], ["quay-secret"]),
        (pod("nginx", APP, TOOL)["spec"], ["quay-secret", "ghcr-secret"]),
        (pod(APP, APP, "quay.io/acme/other")["spec"], ["quay-secret"]),
        (pod("nginx", initContainers=[{"image": APP}])["spec"], ["quay-secret"]),
        (pod("nginx", ephemeralContainers=[{"image": APP}])["spec"], ["quay-secret"]),
        (pod("nginx", volumes=[{"name": "v", "image": {"reference": APP}}])["spec"], ["quay-secret"]),
        (pod(volumes=[{"name": "v", "image": {"reference": APP}}, {"name": "w"}])["spec"], ["quay-secret"]),
        ({"initContainers": [{"image": TOOL}], "containers": None}, ["ghcr-secret"]),
        (pod("nginx", "quay.io/acmecorp/app")["spec"], None),
        (pod("blue.example.com/app")["spec"], None),
    ],
)
def test_every_image_of_a_pod_counts(spec: Json, names: list[str] | None) -> None:
    assert secrets_after({"spec": spec}, state()) == named(names)


@pytest.mark.parametrize(
    ("own", "after"),
    [
        ("absent", ["quay-secret"]),
        (None, ["quay-secret"]),
        ([], ["quay-secret"]),
        ([{"name": "mine"}], ["mine", "quay-secret"]),
        ([{"name": "mine"}, {"name": "mine"}], ["mine", "mine", "quay-secret"]),
        ([{}], [None, "quay-secret"]),
        ([{"name": ""}], ["", "quay-secret"]),
        ([{"name": "quay-secret"}], ["quay-secret"]),
        ([{"name": "mine"}, {"name": "quay-secret"}], ["mine", "quay-secret"]),
    ],
)
def test_own_pull_secrets_stay_first_and_as_they_are(own: Any, after: list[str | None]) -> None:
    before = pod(APP, **({} if own == "absent" else {"imagePullSecrets": own}))
    assert [entry.get("name") for entry in secrets_after(before, state())] == after


def test_all_mappings_that_match_an_image_are_injected_the_most_specific_first() -> None:
    host = Mapping("host", ("quay.io",), "host-secret", LabelSelector())
    glob = Mapping("glob", ("*.io",), "glob-secret", LabelSelector())
    same = Mapping("same", ("quay.io/acme/app",), "quay-secret", LabelSelector())
    found = secrets_after(pod(APP), state(glob, host, QUAY, same))
    assert found == [{"name": "quay-secret"}, {"name": "host-secret"}, {"name": "glob-secret"}]


def test_namespace_selects_the_mapping() -> None:
    image = "blue.example.com/app"
    namespaces = {"blue-1": {"team": "blue"}, "red-1": {"team": "red"}}
    assert secrets_after(pod(image), state(BLUE, **namespaces), namespace="blue-1") == [{"name": "blue-secret"}]
    assert secrets_after(pod(image), state(BLUE, **namespaces), namespace="red-1") is None


def test_namespace_comes_from_the_request_not_from_the_pod() -> None:
    before = pod("blue.example.com/app")
    before["metadata"]["namespace"] = "red"
    found = secrets_after(before, state(BLUE, blue={"team": "blue"}, red={"team": "red"}), namespace="blue")
    assert found == [{"name": "blue-secret"}]


def test_unknown_namespace_gets_what_every_namespace_gets_and_a_warning_about_the_rest() -> None:
    before = pod(APP, "blue.example.com/app")
    response = response_to(before, state(), namespace="new")
    assert patched(before, response)["spec"]["imagePullSecrets"] == [{"name": "quay-secret"}]
    assert response["warnings"] == ["sutler: could not read namespace new; a pull secret may be missing"]
    assert "warnings" not in response_to(pod(APP), state(), namespace="new")


@pytest.mark.parametrize(
    ("metadata", "outcome"),
    [
        ({"annotations": {"kubernetes.io/config.mirror": "hash"}}, AdmissionOutcome.MIRROR),
        ({"annotations": {"kubernetes.io/config.mirror": ""}}, AdmissionOutcome.MIRROR),
        ({"annotations": {"sutler.dev/inject": "false"}}, AdmissionOutcome.OPTED_OUT),
        ({"labels": {"sutler.dev/inject": "false"}}, AdmissionOutcome.OPTED_OUT),
        ({"labels": {"sutler.dev/inject": "true"}, "annotations": None}, AdmissionOutcome.INJECTED),
        ({"labels": None}, AdmissionOutcome.INJECTED),
        ({}, AdmissionOutcome.INJECTED),
        (None, AdmissionOutcome.INJECTED),
    ],
)
def test_mirror_pods_and_pods_that_opt_out_are_left_alone(metadata: Any, outcome: AdmissionOutcome) -> None:
    before = pod(APP) | {"metadata": metadata}
    found = decided(before, state())
    assert found.outcome is outcome
    if outcome is not AdmissionOutcome.INJECTED:
        response = response_to(before, state())
        assert "patch" not in response
        assert response["auditAnnotations"] == {"skipped": outcome.value}


def test_excluded_namespaces_are_left_alone() -> None:
    known = state(**{"kube-system": {}, "quiet": {"sutler.dev/exclude": "true"}, "loud": {"sutler.dev/exclude": "no"}})
    known.excluded = frozenset(["kube-system"])
    assert decided(pod(APP), known, namespace="kube-system").outcome is AdmissionOutcome.EXCLUDED
    assert decided(pod(APP), known, namespace="quiet").outcome is AdmissionOutcome.EXCLUDED
    assert decided(pod(APP), known, namespace="loud").outcome is AdmissionOutcome.INJECTED


def test_observing_mapping_changes_nothing_and_is_named_in_the_audit_log() -> None:
    before = pod("watched.io/app")
    response = response_to(before, state())
    assert response["auditAnnotations"] == {"observed": "watched-secret (mapping watched)"}
    assert set(response) == {"uid", "allowed", "auditAnnotations"}
    assert decided(before, state()).outcome is AdmissionOutcome.OBSERVED


def test_observing_mapping_does_not_hold_back_another_with_the_same_secret() -> None:
    watching = Mapping("watching", ("quay.io",), "quay-secret", LabelSelector(), mode=Mode.OBSERVE)
    assert secrets_after(pod(APP), state(watching, QUAY)) == [{"name": "quay-secret"}]


def test_audit_annotations_say_which_mapping_asked_for_what() -> None:
    before = pod(APP, TOOL, imagePullSecrets=[{"name": "ghcr-secret"}])
    response = response_to(before, state())
    assert response["auditAnnotations"] == {
        "injected": "quay-secret (mapping quay)",
        "present": "ghcr-secret (mapping ghcr)",
    }
    assert decided(before, state()).mappings == ("quay", "ghcr")


def test_pod_that_needs_nothing_gets_the_shortest_answer() -> None:
    assert set(response_to(pod("nginx"), state())) == {"uid", "allowed"}
    assert decided(pod("nginx"), state()).outcome is AdmissionOutcome.UNMATCHED


@pytest.mark.parametrize(
    ("allowed", "after", "outcome"),
    [
        (None, ["quay-secret", "ghcr-secret"], AdmissionOutcome.INJECTED),
        ((), None, AdmissionOutcome.RESTRICTED),
        (("other",), None, AdmissionOutcome.RESTRICTED),
        (("ghcr-secret",), ["ghcr-secret"], AdmissionOutcome.INJECTED),
    ],
)
def test_service_account_that_enforces_mountable_secrets_gets_only_what_it_lists(
    allowed: tuple[str, ...] | None, after: list[str] | None, outcome: AdmissionOutcome
) -> None:
    known = state()
    known.accounts = {"default/strict": Account(allowed or (), enforces=allowed is not None)}
    before = pod(APP, TOOL, serviceAccountName="strict")
    response = response_to(before, known)
    assert patched(before, response)["spec"].get("imagePullSecrets") == named(after)
    assert decided(before, known).outcome is outcome
    assert ("warnings" in response) == (allowed is not None)
    if "warnings" in response:
        assert "ServiceAccount strict does not list pull secret quay-secret" in response["warnings"][0]
        assert "quay-secret (mapping quay)" in response["auditAnnotations"]["restricted"]


def test_pod_without_a_service_account_is_of_the_default_one() -> None:
    known = state()
    known.accounts = {"default/default": Account(enforces=True)}
    before = pod(APP)
    del before["spec"]["serviceAccountName"]
    assert secrets_after(before, known) is None


@pytest.mark.parametrize(
    ("annotation", "restricts"),
    [("true", True), ("True", True), ("1", True), ("t", True), ("false", False), ("yes", False), (None, False)],
)
def test_service_account_restricts_by_its_annotation(annotation: str | None, restricts: bool) -> None:
    annotations = {} if annotation is None else {"kubernetes.io/enforce-mountable-secrets": annotation}
    account = account_entry({"metadata": {"annotations": annotations}, "imagePullSecrets": [{"name": "a"}, {}]})
    assert account == (Account(("a",), enforces=True) if restricts else UNRESTRICTED)


def test_image_that_does_not_parse_gets_nothing_and_a_warning_and_the_others_theirs() -> None:
    before = pod("quay.io/acme/App", APP)
    response = response_to(before, state())
    assert patched(before, response)["spec"]["imagePullSecrets"] == [{"name": "quay-secret"}]
    assert response["warnings"] == [
        "sutler: image 'quay.io/acme/App' is no image reference: the repository's path must be in lower case"
    ]


def test_warnings_are_few_and_short() -> None:
    response = response_to(pod(*(f"quay.io/{n}/" + "X" * 500 for n in range(1000))), state())
    assert len(response["warnings"]) == 5
    assert response["warnings"][-1] == "sutler: 996 more warnings are not shown"
    assert all(warning.isprintable() for warning in response["warnings"])


def test_secret_that_cannot_be_brought_is_injected_all_the_same_with_a_warning() -> None:
    known = state()
    known.problems = {"quay": StateProblem("SourceMissing: Secret quay-credentials is not in Sutler's namespace")}
    response = response_to(pod(APP), known)
    assert "patch" in response
    assert response["warnings"] == [
        "sutler: pull secret quay-secret: SourceMissing: Secret quay-credentials is not in Sutler's namespace"
    ]
    assert "warnings" not in response_to(pod(TOOL), known)
    assert "warnings" not in response_to(pod(APP, imagePullSecrets=[{"name": "quay-secret"}]), known)


HERE = "default/quay-secret"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            f"Conflict: other/quay-secret exists; {HERE} belongs to mapping acme. Secrets that are not",
            f": {HERE} belongs to mapping acme",
        ),
        (f"CopyFailed: {HERE}: exceeded quota: small. Sutler will retry.", f": {HERE}: exceeded quota: small"),
        ("Copying: 3 of 4 namespaces have it", " is not in this namespace yet (Copying: 3 of 4 namespaces have it)"),
        ("Conflict: a-default/quay-secret exists", " is not in this namespace yet (Conflict: a-default/quay"),
    ],
)
def test_secret_that_is_not_where_the_pod_is_gives_a_warning_there_and_nowhere_else(text: str, warning: str) -> None:
    known = state()
    known.problems = {"quay": StateProblem(text, frozenset(["default"]))}
    (found,) = response_to(pod(APP), known)["warnings"]
    assert found.startswith(f"sutler: pull secret quay-secret{warning}")
    known.problems = {"quay": StateProblem(text, frozenset(["team-b"]))}
    assert "warnings" not in response_to(pod(APP), known)


def declared(reason: str, ready: str = "False", **namespaces: Any) -> Json:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "why"}
    spec = {"registries": ["quay.io"], "pullSecret": {"name": "s"}, "namespaceSelector": {}}
    status = {"conditions": [condition], "namespaces": namespaces}
    return {"metadata": {"name": "m"}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("mapping", "trouble"),
    [
        (declared("Synced", "True"), None),
        (declared("SourceMissing", lacking=["a"]), StateProblem("SourceMissing: why")),
        (declared("Conflict", lacking=["a"]), StateProblem("Conflict: why", frozenset(["a"]))),
        (declared("Copying", lacking=[]), StateProblem("Copying: why", frozenset())),
        (declared("CopyFailed", selected=2, synced=1), StateProblem("CopyFailed: why")),
        (declared("Copying", lacking=[str(n) for n in range(500)]), StateProblem("Copying: why")),
    ],
)
def test_trouble_is_read_from_the_status_of_a_mapping(mapping: Json, trouble: StateProblem | None) -> None:
    """Without a whole list of namespaces it may be any."""
    assert mapping_entry(mapping)[1] == trouble


def test_dry_run_is_answered_alike() -> None:
    assert response_to(pod(APP), state(), dryRun=True) == response_to(pod(APP), state())


def test_generate_name_only_and_empty_metadata_are_enough() -> None:
    before = pod(APP)
    before["metadata"] = {"generateName": "x-"}
    assert secrets_after(before, state()) == [{"name": "quay-secret"}]


@pytest.mark.parametrize("sub", ["", "ephemeralcontainers"])
def test_update_only_warns_and_only_about_new_images(sub: str) -> None:
    before = pod("nginx", TOOL)
    after = pod("nginx", TOOL, ephemeralContainers=[{"image": APP}])
    response = response_to(after, state(), operation="UPDATE", oldObject=before, subResource=sub)
    assert response["warnings"] == [
        "sutler: pull secret quay-secret (mapping quay) can't be added to an existing Pod; create the Pod again"
    ]
    assert set(response_to(before, state(), operation="UPDATE", oldObject=before, subResource=sub)) == {
        "uid",
        "allowed",
    }


def test_update_is_silent_about_a_secret_that_the_pod_has() -> None:
    after = pod(APP, imagePullSecrets=[{"name": "quay-secret"}])
    assert set(response_to(after, state(), operation="UPDATE", oldObject=pod("nginx"))) == {"uid", "allowed"}
    assert decided(after, state(), operation="UPDATE").outcome is AdmissionOutcome.UPDATE


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "DELETE"},
        {"operation": "CONNECT", "subResource": "exec"},
        {"subResource": "binding"},
        {"subResource": "status", "operation": "UPDATE"},
        {"operation": ""},
    ],
)
def test_what_is_not_about_the_images_of_a_pod_is_allowed_in_silence(fields: dict[str, Any]) -> None:
    assert set(response_to(None, state(), **fields)) == {"uid", "allowed"}


@pytest.mark.parametrize(
    "resource",
    [{"group": "", "version": "v1", "resource": "secrets"}, {"group": "metrics.k8s.io", "resource": "pods"}, None, {}],
)
def test_what_is_not_a_pod_is_allowed_with_a_warning(resource: Any) -> None:
    response = response_to(pod(APP), state(), resource=resource)
    assert response["warnings"] == [
        "sutler: this webhook only handles Pods; fix the rules in its MutatingWebhookConfiguration"
    ]
    assert "patch" not in response


@pytest.mark.parametrize("obj", [None, {}, {"metadata": {}}, {"spec": None}])
def test_pod_that_is_not_there_cannot_be_decided(obj: Any) -> None:
    with pytest.raises(ReviewError, match=r"request\.object"):
        decided(obj, state())


NAMES = st.sampled_from(("mine", "quay-secret", "ghcr-secret", "x", ""))
OWN = st.one_of(
    st.just("absent"),
    st.none(),
    st.lists(st.one_of(st.just({}), st.builds(lambda name: {"name": name}, NAMES)), max_size=4),
)
IMAGES = st.lists(
    st.sampled_from((APP, TOOL, "nginx", "blue.example.com/x", "watched.io/x", "BAD//", "quay.io/acmecorp/x", "")),
    max_size=5,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(IMAGES, IMAGES, OWN, JSON, st.sampled_from(("default", "blue-1", "unknown")))
def test_patch_always_applies_touches_one_field_and_is_complete(
    images: list[str], init: list[str], own: Any, other: Any, namespace: str
) -> None:
    known = state(**{"default": {}, "blue-1": {"team": "blue"}})
    before = pod(*images, initContainers=[{"image": image, "other": other} for image in init], other=other)
    before["other/~field"] = other
    if own != "absent":
        before["spec"]["imagePullSecrets"] = own
    untouched = copy.deepcopy(before)
    after = patched(before, response_to(before, known, namespace=namespace))
    # Nothing else changes.
    mine, theirs = after["spec"].pop("imagePullSecrets", "absent"), untouched["spec"].pop("imagePullSecrets", "absent")
    assert after == untouched
    # What was there stays first, what is needed is there, each once.
    before_names = [entry.get("name") for entry in theirs] if isinstance(theirs, list) else []
    after_names = [entry.get("name") for entry in mine] if isinstance(mine, list) else []
    needed = {
        secret
        for image, secret in {APP: "quay-secret", TOOL: "ghcr-secret", "blue.example.com/x": "blue-secret"}.items()
        if image in (*images, *init) and (secret != "blue-secret" or namespace == "blue-1")
    }
    assert after_names[: len(before_names)] == before_names
    assert sorted(after_names[len(before_names) :]) == sorted(needed - set(before_names))
    # Called again on its own output it changes nothing.
    after["spec"] |= {} if mine == "absent" else {"imagePullSecrets": mine}
    assert "patch" not in response_to(after, known, namespace=namespace)


def test_mapping_names_are_unique_in_a_decision() -> None:
    assert decided(pod(APP, TOOL, "quay.io/acme/b"), state()).mappings == (QUAY.name, GHCR.name)
