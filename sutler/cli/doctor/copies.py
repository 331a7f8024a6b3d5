"""Mappings that are not ready, and copies that are not where they belong: one finding for each cause. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from sutler.cli.doctor.cluster_state import ClusterState
from sutler.cli.doctor.findings import Finding, note, problem
from sutler.cli.registry.list_rows import ready
from sutler.registry.mapping import Mapping, Mode
from sutler.typedefs import Json

_NAMED = 3
_SOON = timedelta(seconds=60)
"""So long copies may be on their way before that is worth a word."""


def mappings(seen: ClusterState) -> Iterator[Finding]:
    broken = {each.name: each for each in seen.world.broken}
    usable = {each.name: each for each in seen.world.mappings}
    for obj in seen.mappings:
        name = obj["metadata"]["name"]
        if name in broken:
            why = f"can't be used: {'; '.join(broken[name].problems)}"
            yield problem(f"Mapping {name}", why, f"kubectl edit registrymapping {name}")
        elif name in usable:
            yield from _mapping(seen, obj, usable[name])


def _mapping(seen: ClusterState, obj: Json, mapping: Mapping) -> Iterator[Finding]:
    condition = ready(obj)
    reason = str(condition.get("reason")) if condition.get("status") == "False" else ""
    lacking, taken = _places(seen, mapping) if copies(mapping) else ([], {})
    for owner, namespaces in sorted(taken.items()):
        yield _taken(mapping, owner, namespaces)
    if reason in {"", "Copying"} or (reason == "Conflict" and taken):
        if lacking:
            yield _lacking(mapping, lacking)
        elif reason == "Copying" and not taken:
            # A rotation under way, say.
            level = note if seen.age(condition.get("lastTransitionTime")) < _SOON else problem
            yield level(f"Mapping {mapping.name}", f"is not ready yet: {condition.get('message')}", _look(mapping))
    else:
        fix = _fix(seen, mapping, reason, str(condition.get("message")), lacking)
        yield problem(f"Mapping {mapping.name}", f"is not ready: {condition.get('message')}", *fix)


def _fix(seen: ClusterState, mapping: Mapping, reason: str, message: str, lacking: Sequence[str]) -> tuple[str, ...]:
    """By what the secrets controller met. Only what the mapping itself says is mended in the mapping."""
    if reason == "Invalid":
        return (f"kubectl edit registrymapping {mapping.name}",)
    if reason.startswith("Source"):
        return (f"kubectl -n {seen.world.own_namespace} get secrets",)
    where = next((name for name in lacking if f"{name}/{mapping.secret}" in message), None)
    if where and "quota" in message:
        return (f"kubectl -n {where} describe resourcequota",)
    if where and "finalizer" in message:
        return (f"kubectl -n {where} get secret {mapping.secret} -o jsonpath='{{.metadata.finalizers}}'",)
    return (_look(mapping),)


def _places(seen: ClusterState, mapping: Mapping) -> tuple[list[str], dict[str, list[str]]]:
    """Where it has no copy, and where the Secret is another's, by owner: a mapping, or "" for none of ours."""
    there = seen.secrets.get(mapping.secret)
    lacking: list[str] = []
    taken: dict[str, list[str]] = defaultdict(list)
    for namespace in sorted(seen.world.namespaces) if there is not None else ():
        if not _wants(seen, mapping, namespace):
            continue
        owner = there.get(namespace) if there else None
        if owner is None:
            lacking.append(namespace)
        elif owner != mapping.name:
            taken[owner].append(namespace)
    return lacking, taken


def _taken(mapping: Mapping, owner: str, namespaces: Sequence[str]) -> Finding:
    places = _some([f"{namespace}/{mapping.secret}" for namespace in namespaces])
    if owner:
        why = f"has no copy of its own where mapping {owner} has one: {places}. Pods there get that of {owner}"
        also = f"kubectl get registrymapping {owner} -o yaml  # which of the two is for them?"
        return problem(f"Mapping {mapping.name}", why, _look(mapping), also)
    one = len(namespaces) == 1
    what = f"Secret {places}" if one else f"{len(namespaces)} Secrets"
    why = f"{'is' if one else 'are'} not Sutler's and in the way of mapping {mapping.name}"
    stay = "it stays, and Pods there use it" if one else f"they stay, and Pods there use them: {places}"
    look = f"kubectl -n {namespaces[0]} describe secret {mapping.secret}  # whose is it, and is it needed?"
    return problem(what, f"{why}; {stay}", look)


def _lacking(mapping: Mapping, namespaces: Sequence[str]) -> Finding:
    why = f"has no copy of its Secret in {len(namespaces)} of its namespaces: {_some(namespaces)}"
    return problem(f"Mapping {mapping.name}", why, _look(mapping))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _look(mapping: Mapping) -> str:
    return f"kubectl describe registrymapping {mapping.name}"


def copies(mapping: Mapping) -> bool:
    return mapping.copy_from is not None and mapping.mode is Mode.INJECT


def _wants(seen: ClusterState, mapping: Mapping, namespace: str) -> bool:
    """Whether a copy belongs there."""
    if seen.namespace not in {None, namespace} or namespace in seen.terminating:
        return False
    if not mapping.selector.matches(seen.world.namespaces[namespace]):
        return False
    return not (namespace == seen.world.own_namespace and mapping.secret == mapping.copy_from)
