"""What kubectl does for common words, as requests: each start of kubectl takes a fifth of a second of a core.

Words that are not known here are run by kubectl itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from sutler.kube import resources
from sutler.kube.resources import Resource

_RBAC, _SNAPSHOT = "rbac.authorization.k8s.io", resources.VOLUME_SNAPSHOTS.group
_UNUSED_BY_SUTLER = (
    Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Resource(_SNAPSHOT, "v1", "volumesnapshotclasses", "VolumeSnapshotClass", namespaced=False),
)
# Today's servers do not serve the beta version, and the 404 of its path looks like an object that is gone.
_KINDS = {
    one.kind: one
    for one in (*vars(resources).values(), *_UNUSED_BY_SUTLER)
    if isinstance(one, Resource) and one is not resources.VOLUME_ATTRIBUTES_CLASSES_BETA
}
_BY_NAME = {
    "pv": resources.PERSISTENT_VOLUMES,
    "pvc": resources.PERSISTENT_VOLUME_CLAIMS,
    "regmap": resources.REGISTRY_MAPPINGS,
    "sa": resources.SERVICE_ACCOUNTS,
    **{name: one for one in _KINDS.values() for name in (one.kind.lower(), one.plural)},
}
_FILTERS = {"--field-selector": "fieldSelector", "-l": "labelSelector"}
_WITH_VALUE = {"--type", "--wait", "--dry-run", "--validate"}
_PATCHES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}
_BACKGROUND = {"propagationPolicy": "Background"}
# Kubernetes' own client names itself so, and takes fields over that others have set.
_APPLY = "?fieldManager=kubectl&force=true"


class NotKnownError(Exception):
    """Only kubectl knows what these words do."""


@dataclass(frozen=True)
class Request:
    """One request to the API server, as the administrator."""

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    may_be_absent: bool = False
    """Whether 404 is an answer, as with --ignore-not-found."""
    waits: bool = False
    """Whether to return only when the object is gone."""
    output: str = ""
    """What kubectl prints of the answer: "json", "name" or "raw"; nothing where nothing is asked for."""


@dataclass
class _Words:
    """The words of one command: what it is about, and its options."""

    verb: str
    named: list[str] = field(default_factory=list)
    namespace: str | None = "default"
    query: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, words: Sequence[str]) -> "_Words":
        found, rest = cls(""), iter(words)
        for word in rest:
            name, equals, value = word.partition("=")
            if word in {"-n", "--namespace"}:
                found.namespace = next(rest)
            elif word in {"-A", "--all-namespaces"}:
                found.namespace = None
            elif word in _FILTERS:
                found.query[_FILTERS[word]] = next(rest)
            elif word in {"-f", "-p", "-o", "--raw"}:
                found.options[word] = next(rest)
            elif word in {"--all", "--ignore-not-found", "--overwrite"} or (equals and name in _WITH_VALUE):
                found.options[name] = value
            elif word.startswith("-"):
                raise NotKnownError(word)
            else:
                found.named.append(word)
        if not found.named:
            raise NotKnownError("no verb")
        found.verb = found.named.pop(0)
        return found

    def kind(self) -> Resource:
        known = _BY_NAME.get(self.named[0]) if self.named else None
        if known is None:
            raise NotKnownError(" ".join(self.named))
        return known

    def path(self, name: str | None = None) -> str:
        kind = self.kind()
        return kind.path(self.namespace if kind.namespaced else None, name)


def requests(words: Sequence[str], given: str | None) -> list[Request] | None:
    """The requests of a command that changes something, or whose output is named by `-o`.

    Args:
        words: without `kubectl`.
        given: what it reads from its standard input.

    Returns:
        None for what only kubectl knows.
    """
    try:
        found = _Words.parse(words)
        change = _CHANGES.get(found.verb)
        with_query = found.verb in {"get", "delete"}
        return list(change(found, given)) if change and (with_query or not found.query) else None
    except NotKnownError:
        return None


def _get(words: _Words, _given: str | None) -> Iterator[Request]:
    if words.options.keys() == {"--raw"} and not words.named:
        yield Request("GET", words.options["--raw"], output="raw")
        return
    output = words.options.get("-o")
    named = len(words.named) == 2
    fits = words.options.keys() <= {"-o", "--ignore-not-found"} and output in {"json", "name"}
    if not fits or not (named or len(words.named) == 1) or (named and words.query):
        raise NotKnownError("options")
    path = words.path(*words.named[1:])
    absent = "--ignore-not-found" in words.options
    yield Request("GET", _with_query(path, words.query), may_be_absent=absent, output=str(output))


def _create(words: _Words, given: str | None) -> Iterator[Request]:
    output, dry, checked = (words.options.pop(name, None) for name in ("-o", "--dry-run", "--validate"))
    if output not in {None, "json", "name"} or dry not in {None, "server"} or checked not in {None, "false"}:
        raise NotKnownError("options")
    query = {"fieldValidation": "Ignore" if checked else "Strict"} | ({"dryRun": "All"} if dry else {})
    found = list(_documents(words, given))
    if output == "json" and len(found) > 1:
        raise NotKnownError("a list")
    for kind, document in found:
        document["metadata"].pop("resourceVersion", None)  # as kubectl does
        yield Request("POST", _with_query(_path(kind, words, document), query), document, output=output or "")


def _apply(words: _Words, given: str | None) -> Iterator[Request]:
    for kind, document in _documents(words, given):
        path = _path(kind, words, document, document["metadata"]["name"])
        yield Request("PATCH", path + _APPLY, document, "application/apply-patch+yaml")


def _replace(words: _Words, given: str | None) -> Iterator[Request]:
    if words.options.keys() != {"--raw", "-f"} or words.options["-f"] != "-" or words.named:
        raise NotKnownError("options")
    yield Request("PUT", words.options["--raw"], json.loads(given or ""))


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _documents(words: _Words, given: str | None) -> Iterator[tuple[Resource, Any]]:
    """Of the file, after the verb has taken its own options."""
    if words.options.keys() != {"-f"} or words.named or words.query:
        raise NotKnownError("files")
    for one in yaml.load_all(_given_text(words.options["-f"], given), yaml.CSafeLoader):
        for document in one["items"] if one and one["kind"] == "List" else [one]:
            kind = _KINDS.get(document["kind"]) if document else None
            if kind is None or kind.api_version != document["apiVersion"]:
                raise NotKnownError("kind")
            yield kind, document


def _given_text(file: str, given: str | None) -> str:
    if file == "-":
        return given or ""
    path = Path(file)
    if not path.exists():
        raise NotKnownError("files")
    return "\n---\n".join(one.read_text() for one in (sorted(path.glob("*.yaml")) if path.is_dir() else [path]))


def _path(kind: Resource, words: _Words, document: Any, name: str | None = None) -> str:
    namespace = document["metadata"].get("namespace", words.namespace)
    return kind.path(namespace if kind.namespaced else None, name)


def _delete(words: _Words, given: str | None) -> Iterator[Request]:
    absent = words.options.pop("--ignore-not-found", None) is not None
    waits = words.options.pop("--wait", None) != "false"
    if "-f" in words.options:
        found = _documents(words, given)
        paths = [_path(kind, words, document, document["metadata"]["name"]) for kind, document in found]
    else:
        everything = "--all" in words.options or bool(words.query)
        if words.options.keys() - {"--all"} or everything == (len(words.named) > 1):
            raise NotKnownError("options")
        names: Sequence[str | None] = words.named[1:] or [None]
        paths = [_with_query(words.path(name), words.query) for name in names]
    for path in paths:
        yield Request("DELETE", path, _BACKGROUND, may_be_absent=absent, waits=waits)


def _patch(words: _Words, _given: str | None) -> Iterator[Request]:
    if "-p" not in words.options or len(words.named) != 2:
        raise NotKnownError("options")
    custom = words.kind().group == resources.REGISTRY_MAPPINGS.group
    kind = words.options.get("--type") or ("merge" if custom else "strategic")
    yield Request("PATCH", words.path(words.named[1]), json.loads(words.options["-p"]), _PATCHES[kind])


def _mark(words: _Words, _given: str | None) -> Iterator[Request]:
    changes = [one for one in words.named[1:] if "=" in one or one.endswith("-")]
    names = [one for one in words.named[1:] if one not in changes]
    if words.options.keys() - {"--overwrite"} or not names or not changes:
        raise NotKnownError("options")
    parts = (change.partition("=") for change in changes)
    values = {key.removesuffix("-"): value if equals else None for key, equals, value in parts}
    body = {"metadata": {"labels" if words.verb == "label" else "annotations": values}}
    for name in names:
        yield Request("PATCH", words.path(name), body, _PATCHES["merge"])


_CHANGES = {
    "get": _get,
    "replace": _replace,
    "create": _create,
    "apply": _apply,
    "delete": _delete,
    "patch": _patch,
    "label": _mark,
    "annotate": _mark,
}


def shown(answer: Any) -> Any:
    """As kubectl shows it: each item says what it is, and the managers of fields are left out."""
    for one in answer.get("items", [answer]):
        if "items" in answer:
            one.update(apiVersion=answer["apiVersion"], kind=answer["kind"].removesuffix("List"))
        one["metadata"].pop("managedFields", None)
    return answer | {"apiVersion": "v1", "kind": "List"} if "items" in answer else answer


def printed(answer: Any, output: str) -> str:
    """What kubectl prints of an answer; None: there was none."""
    if not output or answer is None:
        return ""
    if output == "raw":
        return str(answer)
    found = shown(answer)
    if output == "json":
        return json.dumps(found)
    return "".join(_name(one) for one in found.get("items", [found]))


def _name(one: Any) -> str:
    group = one["apiVersion"].rpartition("/")[0]
    return f"{one['kind'].lower()}{group and '.' + group}/{one['metadata']['name']}\n"
