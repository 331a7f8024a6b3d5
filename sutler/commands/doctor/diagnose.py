"""From what a cluster looks like to what is amiss, why, and what to type. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sutler.commands.doctor.finding import Finding, note, problem
from sutler.commands.doctor.pulls import pulls
from sutler.commands.doctor.snapshot import Snapshot
from sutler.commands.registry.listing import ready
from sutler.registry import ImageError, Mapping, MappingIndex, Mode, parse_image

_NAMED = 3
_LEASE_OLD = timedelta(seconds=60)


def diagnose(seen: Snapshot) -> list[Finding]:
    """The most fundamental first."""
    return [
        *_webhook(seen),
        *_copier(seen),
        *_mappings(seen),
        *_foreign(seen),
        *_missing_copies(seen),
        *pulls(seen),
        *_unused(seen),
        *(note(what, "could not be looked at: you may not, as this user") for what in seen.unseen),
    ]


def _webhook(seen: Snapshot) -> Iterator[Finding]:
    if not seen.world.registered:
        why = "is not registered (no MutatingWebhookConfiguration sutler-webhook): no Pod gets a pull secret"
        yield problem("The webhook", why, "kubectl apply -k manifests/base")
    elif not seen.trusted:
        why = "has not published its CA yet, so the API server can't call it: no Pod gets a pull secret"
        look = f"kubectl -n {seen.world.own_namespace} get pods -l app.kubernetes.io/component=webhook"
        yield problem("The webhook", why, look)


def _copier(seen: Snapshot) -> Iterator[Finding]:
    if seen.copier_seen is None or not any(map(_copies, seen.world.mappings)):
        return
    look = f"kubectl -n {seen.world.own_namespace} get pods -l app.kubernetes.io/component=secrets"
    if not seen.copier_seen:
        yield problem("The secrets controller", "does not run: nothing is copied", look)
    elif _time(seen.now) - _time(seen.copier_seen) > _LEASE_OLD:
        why = f"was last seen at {seen.copier_seen}: nothing is copied meanwhile"
        yield problem("The secrets controller", why, look)


def _mappings(seen: Snapshot) -> Iterator[Finding]:
    broken = {each.name: each for each in seen.world.broken}
    for obj in seen.mappings:
        name, condition = obj["metadata"]["name"], ready(obj)
        edit = f"kubectl edit registrymapping {name}"
        if name in broken:
            yield problem(f"Mapping {name}", f"can't be used: {'; '.join(broken[name].problems)}", edit)
        elif condition.get("status") == "False" and condition.get("reason") not in {"Conflict", "Copying"}:
            # Conflicts are found below, each in its place.
            fix = f"kubectl -n {seen.world.own_namespace} get secrets" if _is_source(condition) else edit
            yield problem(f"Mapping {name}", f"is not ready: {condition.get('message')}", fix)


def _foreign(seen: Snapshot) -> Iterator[Finding]:
    for mapping in filter(_copies, seen.world.mappings):
        for namespace, ours in sorted(seen.secrets.get(mapping.secret, ())):
            if not ours and _wants(seen, mapping, namespace):
                yield problem(
                    f"Secret {namespace}/{mapping.secret}",
                    f"is not Sutler's and in the way of mapping {mapping.name}; it stays, and Pods there use it",
                    f"kubectl -n {namespace} delete secret {mapping.secret}  # if nobody needs it",
                )


def _missing_copies(seen: Snapshot) -> Iterator[Finding]:
    for mapping in filter(_copies, seen.world.mappings):
        there = seen.secrets.get(mapping.secret)
        if there is None:
            continue
        have = {namespace for namespace, _ in there}
        lacking = sorted(name for name in seen.world.namespaces if name not in have and _wants(seen, mapping, name))
        if lacking:
            some = ", ".join(lacking[:_NAMED]) + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
            why = f"has no copy of its Secret in {len(lacking)} of its namespaces: {some}"
            yield problem(f"Mapping {mapping.name}", why, f"kubectl describe registrymapping {mapping.name}")


def _unused(seen: Snapshot) -> Iterator[Finding]:
    """Only of the whole cluster can one say that."""
    if seen.namespace:
        return
    index = MappingIndex(seen.world.mappings)
    used = set()
    for namespace, text in {(pod.namespace, use.image) for pod in seen.pods for use in pod.images}:
        try:
            image = parse_image(text)
        except ImageError:
            continue
        labels = seen.world.labels(namespace)
        used |= {mapping.name for mapping in index.lookup(image) if mapping.selector.matches(labels)}
    for mapping in seen.world.mappings:
        if mapping.name not in used:
            why = "is used by no Pod that is there now"
            yield note(
                f"Mapping {mapping.name}", why, f"sutler registry remove {mapping.name}  # if that is no surprise"
            )


def _copies(mapping: Mapping) -> bool:
    return mapping.copy_from is not None and mapping.mode is Mode.INJECT


def _wants(seen: Snapshot, mapping: Mapping, namespace: str) -> bool:
    """Whether a copy belongs there."""
    labels = seen.world.namespaces.get(namespace)
    if seen.namespace not in {None, namespace}:
        return False
    if labels is None or namespace in seen.terminating or not mapping.selector.matches(labels):
        return False
    return not (namespace == seen.world.own_namespace and mapping.secret == mapping.copy_from)


def _is_source(condition: dict[str, str]) -> bool:
    return str(condition.get("reason")).startswith("Source")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
