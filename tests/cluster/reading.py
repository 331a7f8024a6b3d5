"""What `kubectl get` would read, as a request: starting kubectl takes a tenth of a second of a core each time."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

_CORE, _SUTLER, _STORAGE = "/api/v1", "/apis/sutler.dev/v1alpha1", "/apis/storage.k8s.io/v1"
_NAMESPACED = {
    "event": (_CORE, "events"),
    "persistentvolumeclaim": (_CORE, "persistentvolumeclaims"),
    "pod": (_CORE, "pods"),
    "secret": (_CORE, "secrets"),
    "serviceaccount": (_CORE, "serviceaccounts"),
}
_OF_THE_CLUSTER = {
    "namespace": (_CORE, "namespaces"),
    "persistentvolume": (_CORE, "persistentvolumes"),
    "registrymapping": (_SUTLER, "registrymappings"),
    "storageclass": (_STORAGE, "storageclasses"),
    "mutatingwebhookconfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
    ),
}
_SHORT = {"pv": "persistentvolume", "pvc": "persistentvolumeclaim", "regmap": "registrymapping"}
_FILTERS = {"--field-selector": "fieldSelector", "-l": "labelSelector"}


def path(words: Sequence[str]) -> str | None:
    """Of what `kubectl get` with these words shows; None for what only kubectl knows."""
    named: list[str] = []
    namespace, query = "default", {}
    rest = iter(words)
    for word in rest:
        if word in {"-n", "--namespace"}:
            namespace = next(rest)
        elif word in {"-A", "--all-namespaces"}:
            namespace = ""
        elif word in _FILTERS:
            query[_FILTERS[word]] = next(rest)
        elif word.startswith("-"):
            return None
        else:
            named.append(word)
    if named[:1] != ["get"] or len(named) not in {2, 3}:
        return None
    kind = _SHORT.get(named[1], named[1].removesuffix("s") if named[1] != "storageclass" else named[1])
    prefix, plural = _NAMESPACED.get(kind) or _OF_THE_CLUSTER.get(kind) or ("", "")
    if not plural:
        return None
    inside = ["namespaces", namespace] if kind in _NAMESPACED and namespace else []
    return "/".join([prefix, *inside, plural, *named[2:]]) + (f"?{urlencode(query)}" if query else "")


def shown(answer: Any) -> Any:
    """As kubectl shows it: each item says what it is, and nobody sees who manages which field."""
    for one in answer.get("items", [answer]):
        if "items" in answer:
            one.update(apiVersion=answer["apiVersion"], kind=answer["kind"].removesuffix("List"))
        one["metadata"].pop("managedFields", None)
    return answer | {"apiVersion": "v1", "kind": "List"} if "items" in answer else answer
