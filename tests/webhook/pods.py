"""Requests as the API server sends them, and the responses to them."""

import base64
import copy
import json
from typing import Any

import jsonpatch

from sutler.registry.injection import Labels
from sutler.registry.mapping import Mapping, Mode
from sutler.registry.selector import LabelSelector
from webhook.decision_cache import AdmissionOutcome, Decision, DecisionCache
from webhook.mutation import decide
from webhook.review import decode, render_review
from webhook.state import WebhookState

Json = dict[str, Any]

QUAY = Mapping("quay", ("quay.io/acme",), "quay-secret", LabelSelector())
GHCR = Mapping("ghcr", ("ghcr.io",), "ghcr-secret", LabelSelector())
BLUE = Mapping("blue", ("blue.example.com",), "blue-secret", LabelSelector.parse({"matchLabels": {"team": "blue"}}))
WATCHED = Mapping("watched", ("watched.io",), "watched-secret", LabelSelector(), mode=Mode.OBSERVE)
MAPPINGS = (QUAY, GHCR, BLUE, WATCHED)


def state(*mappings: Mapping, **namespaces: Labels) -> WebhookState:
    return WebhookState.fixed(mappings or MAPPINGS, namespaces or {"default": {}})


def pod(*images: str, **spec: Any) -> Json:
    spec = {
        "serviceAccountName": "default",
        "containers": [{"name": f"c{position}", "image": image} for position, image in enumerate(images)],
        "future": {"field": [1, 2.5, None]},
    } | spec
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "app-", "labels": {"app": "app"}, "annotations": {"note": "x"}},
        "spec": spec,
        "status": {},
    }


def request(obj: Any, **fields: Any) -> Json:
    return {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "default",
        "operation": "CREATE",
        "userInfo": {"username": "admin", "groups": ["system:masters"]},
        "object": obj,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **fields,
    }


def body(obj: Any, **fields: Any) -> bytes:
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request(obj, **fields)}
    return json.dumps(review).encode()


def decided(obj: Any, state: WebhookState, **fields: Any) -> Decision:
    decoded = decode(body(obj, **fields))
    return decide(decoded, state.namespaces.get(decoded.namespace or ""), state, DecisionCache())


def response_to(obj: Any, state: WebhookState, **fields: Any) -> Json:
    """The response to the API server, checked for what must be true of every response."""
    found = decided(obj, state, **fields)
    sent = json.loads(render_review("uid-1", found.response))
    assert sent["apiVersion"] == "admission.k8s.io/v1"
    assert sent["kind"] == "AdmissionReview"
    response: Json = sent["response"]
    assert response["uid"] == "uid-1"
    assert response["allowed"] is True
    assert ("patch" in response) == (response.get("patchType") == "JSONPatch")
    assert ("patch" in response) == (found.outcome is AdmissionOutcome.INJECTED)
    assert all(len(warning) <= 120 for warning in response.get("warnings", []))
    assert len(response.get("warnings", [])) <= 5
    return response


def patched(obj: Json, response: Json) -> Json:
    """The object after an independent implementation has applied the patch."""
    if "patch" not in response:
        return obj
    after: Json = jsonpatch.apply_patch(copy.deepcopy(obj), json.loads(base64.b64decode(response["patch"])))
    return after


def secrets_after(obj: Json, state: WebhookState, **fields: Any) -> Any:
    return patched(obj, response_to(obj, state, **fields))["spec"].get("imagePullSecrets")
