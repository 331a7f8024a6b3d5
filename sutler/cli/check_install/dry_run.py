"""The Pod whose creation is tried, without keeping it. Pure."""

from collections.abc import Iterator
from typing import Any

from sutler.cli.cluster_view import ClusterView
from sutler.registry.image import ImageError, parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.mapping import Mapping

_NAME = "sutler-check-install"


def choices(world: ClusterView, namespace: str | None) -> Iterator[tuple[Mapping, str, str]]:
    """Mappings with a namespace that they are for and an image that they match. `namespace`: this one only."""
    names = [namespace] if namespace else sorted(world.namespaces, key=_unimportant)
    for mapping in world.mappings:
        image = next(_images(mapping), None)
        where = next((name for name in names if not world.excluded(name) and not world.withheld(mapping, name)), None)
        if image and where:
            yield mapping, where, image


def pod(image: str) -> dict[str, Any]:
    """As undemanding as a Pod can be, so that no policy is in its way."""
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


def secrets_of(created: dict[str, Any]) -> list[str]:
    return [reference.get("name", "") for reference in created["spec"].get("imagePullSecrets") or ()]


def _images(mapping: Mapping) -> Iterator[str]:
    for pattern in mapping.patterns:
        text = pattern.text.replace("*", "x").replace("?", "x")
        for image in (f"{text}/{_NAME}", text):
            try:
                parsed = parse_image(image)
            except ImageError:  # a glob that this does not fill in
                continue
            if mapping in MappingIndex([mapping]).lookup(parsed):
                yield image


def _unimportant(name: str) -> tuple[bool, str]:
    """The namespace `default` has the fewest surprises."""
    return name != "default", name
