"""`sutler explain` predicts what the webhook does to a Pod: both get the same objects."""

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sutler.cli.cluster_view import ClusterView
from sutler.cli.explain.explanation import explain
from sutler.cli.pods import parse_pod
from sutler.registry.injection import SYSTEM_NAMESPACES, Labels
from tests.webhook.pods import body
from webhook.decision_cache import AdmissionOutcome, DecisionCache
from webhook.mutation import decide
from webhook.review import decode
from webhook.state import WebhookState, account_entry

Json = dict[str, Any]

OWN = "sutler-system"
MAPPINGS = {
    "everywhere": ({"registries": ["quay.io/acme"], "pullSecret": {"name": "acme"}}, {}),
    "also": ({"registries": ["quay.io"], "pullSecret": {"name": "all-of-quay"}}, {}),
    "blue": ({"registries": ["ghcr.io"], "pullSecret": {"name": "blue"}}, {"matchLabels": {"team": "blue"}}),
    "watched": ({"registries": ["ghcr.io"], "pullSecret": {"name": "watched"}, "mode": "Observe"}, {}),
}
OBJECTS = [
    {"metadata": {"name": name}, "spec": {**spec, "namespaceSelector": selector}}
    for name, (spec, selector) in MAPPINGS.items()
]

NAMESPACES: dict[str, Labels | None] = {
    "plain": {},
    "blue": {"team": "blue"},
    "shut": {"sutler.dev/exclude": "true"},
    "open": {"sutler.dev/exclude": "no"},
    "kube-system": {},
    OWN: {},
    "too-new": None,
}
IMAGES = st.sampled_from(("quay.io/acme/app", "quay.io/other/app", "ghcr.io/x", "nginx", "BAD//", "", "localhost/x"))
CONTAINERS = st.lists(st.builds(lambda image: {"name": "c", "image": image}, IMAGES), max_size=2)
VOLUMES = st.lists(
    st.builds(lambda image: {"name": "v", "image": {"reference": image}}, IMAGES) | st.just({"name": "v"}), max_size=2
)
SECRETS = st.lists(st.sampled_from(("acme", "blue", "mine")).map(lambda name: {"name": name}), max_size=2)
INJECT = st.fixed_dictionaries({}, optional={"sutler.dev/inject": st.sampled_from(("false", "true", "no", ""))})
ANNOTATIONS = st.one_of(INJECT, INJECT.map(lambda found: {**found, "kubernetes.io/config.mirror": ""}))
PODS = st.builds(
    lambda metadata, spec: {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", **metadata}, "spec": spec},
    st.fixed_dictionaries({}, optional={"labels": INJECT, "annotations": ANNOTATIONS}),
    st.fixed_dictionaries(
        {"containers": CONTAINERS},
        optional={
            "initContainers": CONTAINERS,
            "ephemeralContainers": CONTAINERS,
            "volumes": VOLUMES,
            "imagePullSecrets": SECRETS,
            "serviceAccountName": st.sampled_from(("default", "strict")),
        },
    ),
)
ACCOUNTS = st.builds(
    lambda enforce, secrets: {
        "metadata": {
            "name": "strict",
            "namespace": "plain",
            "annotations": {"kubernetes.io/enforce-mountable-secrets": enforce},
        },
        "imagePullSecrets": secrets,
    },
    st.sampled_from(("true", "T", "false", "yes", "")),
    SECRETS,
)


@settings(max_examples=400)
@given(PODS, ACCOUNTS, st.sampled_from(sorted(NAMESPACES)))
def test_explanation_is_what_the_webhook_does(pod: Json, account: Json, namespace: str) -> None:
    explained, skipped = _explained(pod, account, namespace)
    done, outcome = _done(pod, account, namespace)
    assert explained == done
    if skipped:
        assert outcome in {AdmissionOutcome.MIRROR, AdmissionOutcome.OPTED_OUT, AdmissionOutcome.EXCLUDED}


def _done(pod: Json, account: Json, namespace: str) -> tuple[list[str], AdmissionOutcome]:
    """The pull secrets that the webhook adds."""
    view = ClusterView(OWN)
    for obj in OBJECTS:
        view.add_mapping(obj)
    state = WebhookState.fixed(
        view.mappings, {name: labels for name, labels in NAMESPACES.items() if labels is not None}
    )
    state.excluded = frozenset((OWN, *SYSTEM_NAMESPACES))
    state.accounts = {"plain/strict": account_entry(account)}
    spec = pod["spec"]
    if spec.get("serviceAccountName") == "strict" and namespace == "plain" and not spec.get("imagePullSecrets"):
        # The API server gives a Pod without pull secrets its account's, before any webhook sees it.
        pod = {**pod, "spec": {**spec, "imagePullSecrets": account["imagePullSecrets"]}}
    decision = decide(decode(body(pod, namespace=namespace)), NAMESPACES[namespace], state, DecisionCache())
    response = json.loads(b'{"allowed":null' + decision.response[:-1])
    patch = json.loads(base64.b64decode(response.get("patch") or b"W10="))
    values = [
        value for step in patch for value in (step["value"] if isinstance(step["value"], list) else [step["value"]])
    ]
    return [value["name"] for value in values], decision.outcome


def _explained(pod: Json, account: Json, namespace: str) -> tuple[list[str], bool]:
    """The pull secrets that the explanation adds from mappings, and whether it says that the webhook skips the Pod."""
    view = ClusterView(OWN)
    for obj in OBJECTS:
        view.add_mapping(obj)
    for name, labels in NAMESPACES.items():
        if labels is not None:
            view.add_namespace({"metadata": {"name": name, "labels": labels}})
    view.add_account(account)
    read = parse_pod({**pod, "metadata": {**pod["metadata"], "namespace": namespace}})
    found = explain(read, view)
    secrets = {secret.name: None for each in found for secret in each.secrets if secret.origin.startswith("mapping ")}
    return list(secrets), any(match.withheld and not match.reason for each in found for match in each.matches)
