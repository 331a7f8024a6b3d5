"""The Pod that `sutler check-install` creates as a dry run, which stores nothing. Pure: no I/O."""

from collections.abc import Collection, Iterator
from typing import Any

from sutler.cli.cluster_view import ClusterView
from sutler.registry.image import ImageError, parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.mapping import Mapping

_NAME = "sutler-check-install"


def candidates(
    view: ClusterView, namespace: str | None, terminating: Collection[str] = ()
) -> Iterator[tuple[Mapping, str, str]]:
    """Mappings, each with a namespace that it injects into and an image that it matches.

    Args:
        view: mappings and namespaces of the cluster.
        namespace: the only one to use; None for any.
        terminating: namespaces in which nothing can be created.
    """
    names = [namespace] if namespace else sorted(view.namespaces.keys() - terminating, key=_default_first)
    for mapping in view.mappings:
        image = next(_images(mapping), None)
        where = next(
            (name for name in names if not view.is_excluded(name) and not view.withhold_reason(mapping, name)), None
        )
        if image and where:
            yield mapping, where, image


def pod(image: str) -> dict[str, Any]:
    """A Pod with the fewest privileges and requests, so that no policy rejects it."""
    small = {"cpu": "1m", "memory": "1Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{_NAME}-"},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "check",
                    "image": image,
                    "resources": {"requests": small, "limits": small},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def pull_secrets(created: dict[str, Any]) -> list[str]:
    return [reference.get("name", "") for reference in created["spec"].get("imagePullSecrets") or ()]


def _images(mapping: Mapping) -> Iterator[str]:
    for pattern in mapping.patterns:
        text = pattern.text.replace("*", "x").replace("?", "x")
        for image in (f"{text}/{_NAME}", text):
            try:
                parsed = parse_image(image)
            except ImageError:  # a glob that x does not match
                continue
            if mapping in MappingIndex([mapping]).lookup(parsed):
                yield image


def _default_first(name: str) -> tuple[bool, str]:
    """The namespace `default` is the least likely to have policies."""
    return name != "default", name
