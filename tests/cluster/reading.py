"""What `kubectl get` would read, as a request: starting kubectl takes a tenth of a second of a core each time."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from sutler.kube import resources
from sutler.kube.resources import Resource

_SHORT = {"pv": "persistentvolume", "pvc": "persistentvolumeclaim", "regmap": "registrymapping"}
_KINDS = {
    name: one
    for one in vars(resources).values()
    if isinstance(one, Resource)
    for name in (one.kind.lower(), one.plural)
}
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
    kind = _KINDS.get(_SHORT.get(named[1], named[1]))
    if kind is None:
        return None
    where = kind.path(namespace if kind.namespaced and namespace else None, *named[2:])
    return f"{where}?{urlencode(query)}" if query else where


def shown(answer: Any) -> Any:
    """As kubectl shows it: each item says what it is, and nobody sees who manages which field."""
    for one in answer.get("items", [answer]):
        if "items" in answer:
            one.update(apiVersion=answer["apiVersion"], kind=answer["kind"].removesuffix("List"))
        one["metadata"].pop("managedFields", None)
    return answer | {"apiVersion": "v1", "kind": "List"} if "items" in answer else answer
