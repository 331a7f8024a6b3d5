"""The conditions with which newer API servers ask the webhook less often, evaluated by the reference library of CEL."""

from typing import Any

import pytest
from cel_expr_python import cel  # type: ignore[import-untyped] # it has a stub, but no marker that says so

from tests.manifests.rendered import KNOWS_COMPONENTS, OVERLAYS, named, rendered

Json = dict[str, Any]

pytestmark = KNOWS_COMPONENTS

INJECT, WARN = "inject.sutler.dev", "warn.sutler.dev"
ENVIRONMENT = cel.NewEnv(variables={"object": cel.Type.DYN, "oldObject": cel.Type.DYN})


def conditions(webhook: str) -> dict[str, str]:
    (found,) = (
        one
        for one in named(rendered(OVERLAYS["modern"]), "MutatingWebhookConfiguration", "sutler-webhook")["webhooks"]
        if one["name"] == webhook
    )
    return {one["name"]: one["expression"] for one in found["matchConditions"]}


def asked(webhook: str, pod: Json, before: Json | None = None) -> bool:
    """Whether the API server would ask. There a condition that fails is a Pod without its secrets, here an error."""
    results = [
        ENVIRONMENT.compile(expression).eval(data={"object": pod, "oldObject": before}).value()
        for expression in conditions(webhook).values()
    ]
    assert all(isinstance(result, bool) for result in results), results
    return all(results)


def pod(annotations: dict[str, str] | None = None, image: str = "a", **more: list[str]) -> Json:
    """`more` has images of init or ephemeral containers."""
    spec = {kind: [{"name": name, "image": name} for name in images] for kind, images in more.items()}
    spec["containers"] = [{"name": "app", "image": image}, {"name": "beside", "image": "b"}]
    return {"metadata": {} if annotations is None else {"annotations": annotations}, "spec": spec}


def annotated(before: Json, annotations: dict[str, str]) -> Json:
    return {**before, "metadata": {"annotations": annotations}}


@pytest.mark.parametrize("annotations", [None, {}, {"other": "x"}, {"sutler.dev/inject": "true"}])
def test_new_pods_are_sent(annotations: dict[str, str] | None) -> None:
    assert asked(INJECT, pod(annotations))


@pytest.mark.parametrize("annotations", [{"kubernetes.io/config.mirror": "x"}, {"sutler.dev/inject": "false"}])
def test_pods_that_would_stay_unchanged_are_not_sent(annotations: dict[str, str]) -> None:
    assert not asked(INJECT, pod(annotations))


BRINGS_IN = {
    "an image": (pod(), pod(image="c")),
    "a first init container": (pod(), pod(initContainers=["i"])),
    "another init container": (pod(initContainers=["i"]), pod(initContainers=["j"])),
    "a first ephemeral container": (pod(), pod(ephemeralContainers=["e"])),
    "another ephemeral container": (pod(ephemeralContainers=["e"]), pod(ephemeralContainers=["e", "f"])),
}


@pytest.mark.parametrize("what", BRINGS_IN)
def test_update_that_adds_an_image_is_sent(what: str) -> None:
    before, after = BRINGS_IN[what]
    assert asked(WARN, after, before)
    assert not asked(WARN, annotated(after, {"sutler.dev/inject": "false"}), before)


@pytest.mark.parametrize("before", [pod(), pod(initContainers=["i"]), pod(ephemeralContainers=["e"])])
def test_other_update_is_not_sent(before: Json) -> None:
    assert not asked(WARN, annotated(before, {"touched": "1"}), before)


def test_conditions_are_few_enough_and_named_apart() -> None:
    for webhook in (INJECT, WARN):
        assert 1 <= len(conditions(webhook)) <= 64  # the API's limit
