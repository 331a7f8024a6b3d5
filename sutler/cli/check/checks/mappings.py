"""Checks of mappings and their copies: one finding for each cause."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from sutler.cli.check.checks.webhook import pods_command
from sutler.cli.check.cluster_state import UNREAD_LEASES, UNREAD_PODS, ClusterState
from sutler.cli.check.findings import Finding, note, problem
from sutler.cli.leases import renew_time
from sutler.registry.image import ImageError, parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.mapping import CopyPolicy, Mapping, Mode, ready_condition
from sutler.typedefs import Json

_MAX_NAMES = 3
"""Namespaces that a finding names."""
_COPYING_TIME = timedelta(seconds=60)
"""Time that copies may take before a mapping that is not ready is a problem."""


def are_copied(state: ClusterState) -> bool:
    """Whether any mapping has copies, and so needs the secrets controller."""
    return any(map(_is_copied, state.view.mappings))


def secrets_controller(state: ClusterState) -> Iterator[Finding]:
    if UNREAD_LEASES in state.unread or state.leader("secrets"):
        return
    last = renew_time(state.leases.get("secrets", {}))
    why = f"was last seen at {last}: nothing is copied until it runs" if last else "does not run: nothing is copied"
    yield problem("The secrets controller", why, pods_command(state, "get pods", "secrets"))


def readiness(state: ClusterState) -> Iterator[Finding]:
    """Mappings that are invalid or not ready, and copies that are missing."""
    invalid = {each.name: each for each in state.view.invalid}
    valid = {each.name: each for each in state.view.mappings}
    for obj in state.mappings:
        name = obj["metadata"]["name"]
        if name in invalid:
            why = f"is invalid: {'; '.join(invalid[name].problems)}"
            yield problem(f"Mapping {name}", why, f"kubectl edit registrymapping {name}")
        elif name in valid:
            yield from _mapping(state, obj, valid[name])


def has_all_pods(state: ClusterState) -> bool:
    """Whether the Pods of all namespaces were read."""
    return not state.namespace and UNREAD_PODS not in state.unread


def unused(state: ClusterState) -> Iterator[Finding]:
    index = MappingIndex(state.view.mappings)
    used = set()
    for namespace, text in {(pod.namespace, use.image) for pod in state.pods for use in pod.images}:
        try:
            image = parse_image(text)
        except ImageError:
            continue
        labels = state.view.labels(namespace)
        used |= {mapping.name for mapping in index.lookup(image) if mapping.selector.matches(labels)}
    for mapping in state.view.mappings:
        if mapping.name not in used:
            yield note(
                f"Mapping {mapping.name}", "matches no existing Pod (Pods that CronJobs create later do not count)"
            )


def _mapping(state: ClusterState, obj: Json, mapping: Mapping) -> Iterator[Finding]:
    condition = ready_condition(obj)
    reason = str(condition.get("reason")) if condition.get("status") == "False" else ""
    missing, taken = _copies(state, mapping) if _is_copied(mapping) else ([], {})
    for owner, namespaces in sorted(taken.items()):
        yield _taken(mapping, owner, namespaces)
    if reason in {"", "Copying"} or (reason == "Conflict" and taken):
        if missing:
            why = f"has no copy of its Secret in {len(missing)} of its namespaces: {_some(missing)}"
            yield problem(f"Mapping {mapping.name}", why, _describe(mapping))
        elif reason == "Copying" and not taken:
            # Probably a rotation in progress.
            level = note if state.age(condition.get("lastTransitionTime")) < _COPYING_TIME else problem
            yield level(f"Mapping {mapping.name}", f"is not ready yet: {condition.get('message')}", _describe(mapping))
    else:
        fix = _fix(state, mapping, reason, str(condition.get("message")), missing)
        yield problem(f"Mapping {mapping.name}", f"is not ready: {condition.get('message')}", *fix)


def _fix(state: ClusterState, mapping: Mapping, reason: str, message: str, missing: Sequence[str]) -> tuple[str, ...]:
    """By the reason that the secrets controller gives. The mapping is edited only if it is invalid itself."""
    if reason == "Invalid":
        return (f"kubectl edit registrymapping {mapping.name}",)
    if reason == "PodsUnseen":
        return ("kubectl apply -k manifests/overlays/copies-on-demand",)
    if reason.startswith("Source"):
        return (f"kubectl -n {state.view.own_namespace} get secrets",)
    namespace = next((name for name in missing if f"{name}/{mapping.secret}" in message), None)
    if namespace and "quota" in message:
        return (f"kubectl -n {namespace} describe resourcequota",)
    if namespace and "finalizer" in message:
        return (f"kubectl -n {namespace} get secret {mapping.secret} -o jsonpath='{{.metadata.finalizers}}'",)
    return (_describe(mapping),)


def _copies(state: ClusterState, mapping: Mapping) -> tuple[list[str], dict[str, list[str]]]:
    """Namespaces that lack the copy, and those where the Secret is another's, by owner.

    The owner is a mapping, or empty for a Secret that is not Sutler's.
    """
    existing = state.copies.get(mapping.secret)
    named = {pod.namespace for pod in state.pods if mapping.secret in pod.pull_secrets}
    missing: list[str] = []
    taken: dict[str, list[str]] = defaultdict(list)
    for namespace in sorted(state.view.namespaces) if existing is not None else ():
        if not _needs_copy(state, mapping, namespace):
            continue
        owner = existing.get(namespace) if existing else None
        if owner is None:
            # On demand, a namespace has no copy before a Pod names it.
            if mapping.copies is CopyPolicy.EAGER or namespace in named:
                missing.append(namespace)
        elif owner != mapping.name:
            taken[owner].append(namespace)
    return missing, taken


def _taken(mapping: Mapping, owner: str, namespaces: Sequence[str]) -> Finding:
    places = _some([f"{namespace}/{mapping.secret}" for namespace in namespaces])
    if owner:
        why = f"has no copy where mapping {owner} has one of the same name: {places}. Pods there use that of {owner}"
        also = f"kubectl get registrymapping {owner} -o yaml  # decide which of the two selects these namespaces"
        return problem(f"Mapping {mapping.name}", why, _describe(mapping), also)
    one = len(namespaces) == 1
    what = f"Secret {places}" if one else f"{len(namespaces)} Secrets"
    why = f"{'is' if one else 'are'} not Sutler's and {'conflicts' if one else 'conflict'} with mapping {mapping.name}"
    kept = "it is kept, and Pods there use it" if one else f"they are kept, and Pods there use them: {places}"
    describe = (
        f"kubectl -n {namespaces[0]} describe secret {mapping.secret}  # find its owner, and whether it is needed"
    )
    return problem(what, f"{why}; {kept}", describe)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _describe(mapping: Mapping) -> str:
    return f"kubectl describe registrymapping {mapping.name}"


def _is_copied(mapping: Mapping) -> bool:
    return mapping.copy_from is not None and mapping.mode is Mode.INJECT


def _needs_copy(state: ClusterState, mapping: Mapping, namespace: str) -> bool:
    if state.namespace not in {None, namespace} or namespace in state.terminating:
        return False
    if not mapping.selector.matches(state.view.namespaces[namespace]):
        return False
    return not (namespace == state.view.own_namespace and mapping.secret == mapping.copy_from)
