"""Decides which pull secrets one Pod gets, and makes the JSON Patch that adds them. Pure: no I/O."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from sutler.registry.index import MatchedMappings
from sutler.registry.injection import (
    Account,
    Labels,
    SkipReason,
    WithholdReason,
    namespace_skip_reason,
    pod_skip_reason,
    withhold_reason,
)
from sutler.registry.mapping import Mapping
from webhook.decision_cache import AdmissionOutcome, Decision, DecisionCache, DecisionKey
from webhook.review import PodSpec, ReviewedPod, ReviewError, ReviewRequest, ReviewResponse, encode
from webhook.state import StateProblem, WebhookState

_LONGEST_WARNING = 120  # characters, as the API asks for
_MOST_WARNINGS = 5
_FIELD = "/spec/imagePullSecrets"


class _Needed(NamedTuple):
    """What the Pod's images need."""

    inject: dict[str, Mapping]
    """By pull secret, in the order of the images."""
    observe: dict[str, Mapping]
    """By pull secret, of mappings with mode Observe."""
    warnings: list[str]


def decide(request: ReviewRequest, labels: Labels | None, state: WebhookState, cache: DecisionCache) -> Decision:
    """Decide about one request.

    Args:
        request: Any request, not only of a Pod.
        labels: Those of the request's namespace; None if they are not known.
        state: The mappings and ServiceAccounts to decide by.
        cache: Decisions that were made by the same state.

    Raises:
        ReviewError: when the request says that it is of a Pod and has none.
    """
    skipped = _skip_outcome(request)
    if skipped is not None:
        return skipped
    pod = request.object
    if pod is None or pod.spec is None:
        raise ReviewError("request.object is missing" if pod is None else "request.object.spec is missing")
    namespace, spec = request.namespace or "", pod.spec
    reason = _pod_skip_reason(pod) or namespace_skip_reason(namespace, labels, state.excluded)
    if reason:
        return _skip(AdmissionOutcome(reason.value))
    if request.operation == "UPDATE" or request.sub_resource:
        return _warn_of_update(request, spec, labels, state)

    matched = state.index.match(spec.images())
    account_name = spec.service_account_name or "default"
    account = state.account(namespace, account_name)
    key = DecisionKey(namespace, account_name, spec.secrets(), matched.names)
    if matched.errors:  # the warnings depend on more than the key
        return _inject(key, matched, labels, account, state)
    cache.clear_if_changed(state.index, state.problems)
    decision = cache.get(key, labels, account)
    if decision is None:
        decision = _inject(key, matched, labels, account, state)
        cache.add(key, labels, account, decision)
    return decision


def add_secrets(existing: Sequence[object] | None, names: tuple[str, ...]) -> bytes:
    """Make the JSON Patch (RFC 6902) that adds pull secrets behind the existing ones.

    It always applies: an `add` of the whole field replaces null and an empty list; `/-` needs a list.
    """
    return _append(names) if existing else _create(names)


def _skip_outcome(request: ReviewRequest) -> Decision | None:
    """The decision about a request that does not concern the images of a Pod."""
    resource = request.resource
    if resource is None or resource.resource != "pods" or resource.group:
        return _skip(
            AdmissionOutcome.IGNORED,
            "sutler: this webhook only handles Pods; fix the rules in its MutatingWebhookConfiguration",
        )
    if request.operation not in {"CREATE", "UPDATE"} or request.sub_resource not in {None, "", "ephemeralcontainers"}:
        return _skip(AdmissionOutcome.IGNORED)
    return None


@cache
def _skip(outcome: AdmissionOutcome, *warnings: str) -> Decision:
    audit = None if outcome is AdmissionOutcome.IGNORED else {"skipped": outcome.value}
    return Decision(outcome, encode(ReviewResponse(warnings=list(warnings) or None, audit_annotations=audit)))


def _pod_skip_reason(pod: ReviewedPod) -> SkipReason | None:
    metadata = pod.metadata
    if metadata is None:
        return None
    labels, annotations = metadata.labels, metadata.annotations
    if annotations is None:
        return pod_skip_reason(None, None, labels.inject) if labels else None
    return pod_skip_reason(annotations.mirror, annotations.inject, labels.inject if labels else None)


def _warn_of_update(request: ReviewRequest, spec: PodSpec, labels: Labels | None, state: WebhookState) -> Decision:
    """Warn of new images that need other pull secrets: the API server rejects changes of imagePullSecrets."""
    old = request.old_pod().spec
    known = set(old.images()) if old else set()
    matched = state.index.match(tuple(image for image in spec.images() if image not in known))
    needed = _needed(matched, request.namespace or "", labels)
    present = spec.secrets() or ()
    needed.warnings.extend(
        f"sutler: pull secret {name} (mapping {mapping.name}) can't be added to an existing Pod; create the Pod again"
        for name, mapping in needed.inject.items()
        if name not in present
    )
    response = ReviewResponse(warnings=_shortened(needed.warnings))
    return Decision(AdmissionOutcome.UPDATE, encode(response), _names(needed))


def _inject(
    key: DecisionKey, matched: MatchedMappings, labels: Labels | None, account: Account, state: WebhookState
) -> Decision:
    """Decide about a new Pod."""
    needed = _needed(matched, key.namespace, labels)
    if not needed.inject and not needed.observe:
        response = ReviewResponse(warnings=_shortened(needed.warnings))
        return Decision(AdmissionOutcome.UNMATCHED, encode(response))
    present = key.secrets or ()
    missing = [name for name in needed.inject if name not in present]
    add = tuple(name for name in missing if not account.refuses(name))
    needed.warnings.extend(_warnings(needed, key, missing, add, state))
    response = ReviewResponse(
        patch=add_secrets(key.secrets, add) if add else None,
        patch_type="JSONPatch" if add else None,
        warnings=_shortened(needed.warnings),
        audit_annotations=_audit_annotations(needed, add, present),
    )
    return Decision(_outcome(needed, missing, add), encode(response), _names(needed))


def _needed(matched: MatchedMappings, namespace: str, labels: Labels | None) -> _Needed:
    needed = _Needed({}, {}, [f"sutler: {error}" for error in matched.errors])
    unknown = False
    for mapping in matched.mappings:
        reason = withhold_reason(mapping, labels)
        if reason is None:
            needed.inject.setdefault(mapping.secret, mapping)
        elif reason is WithholdReason.OBSERVED:
            needed.observe.setdefault(mapping.secret, mapping)
        elif reason is WithholdReason.UNKNOWN:
            unknown = True
    if unknown:
        needed.warnings.append(f"sutler: could not read namespace {namespace}; a pull secret may be missing")
    return needed


def _warnings(
    needed: _Needed, key: DecisionKey, missing: list[str], add: tuple[str, ...], state: WebhookState
) -> list[str]:
    """Warnings for the user who creates the Pod."""
    found = []
    rejected = ", ".join(name for name in missing if name not in add)
    if rejected:
        found.append(f"sutler: ServiceAccount {key.account} does not list pull secret {rejected}: it was not added")
    for name in add:
        problem = state.problems.get(needed.inject[name].name)
        if problem and problem.concerns(key.namespace):
            found.append(f"sutler: pull secret {name}{_problem_text(problem, key.namespace, name)}")
    return found


def _problem_text(problem: StateProblem, namespace: str, secret: str) -> str:
    """Say what concerns this namespace, where the status has it apart; otherwise the whole status."""
    place = f"{namespace}/{secret}"
    # As `Reason: NAMESPACE/SECRET …; NAMESPACE/SECRET …. What to do`.
    parts = problem.text.partition(": ")[2].partition(". ")[0].split("; ")
    local = next((part for part in parts if part.startswith((f"{place} ", f"{place}:"))), None)
    if local is None and problem.lacking is not None:
        return f" is not in this namespace yet ({problem.text})"
    return f": {local or problem.text}"


def _outcome(needed: _Needed, missing: list[str], add: tuple[str, ...]) -> AdmissionOutcome:
    if add:
        return AdmissionOutcome.INJECTED
    if missing:
        return AdmissionOutcome.RESTRICTED
    return AdmissionOutcome.PRESENT if needed.inject else AdmissionOutcome.OBSERVED


def _names(needed: _Needed) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mapping.name for found in (needed.inject, needed.observe) for mapping in found.values()))


def _audit_annotations(needed: _Needed, add: tuple[str, ...], present: tuple[str, ...]) -> dict[str, str]:
    """For the API server's audit log: pull secrets and their mappings, by what was done with them."""
    kinds: dict[str, list[str]] = {}
    for name, mapping in needed.inject.items():
        kind = "injected" if name in add else "present" if name in present else "restricted"
        kinds.setdefault(kind, []).append(f"{name} (mapping {mapping.name})")
    for name, mapping in needed.observe.items():
        kinds.setdefault("observed", []).append(f"{name} (mapping {mapping.name})")
    return {kind: ", ".join(which) for kind, which in kinds.items()}


def _shortened(warnings: list[str]) -> list[str] | None:
    if not warnings:
        return None
    if len(warnings) > _MOST_WARNINGS:
        rest = len(warnings) - _MOST_WARNINGS + 1
        warnings = [*warnings[: _MOST_WARNINGS - 1], f"sutler: {rest} more warnings are not shown"]
    return [text if len(text) <= _LONGEST_WARNING else f"{text[: _LONGEST_WARNING - 3]}..." for text in warnings]


@lru_cache(maxsize=1024)
def _create(names: tuple[str, ...]) -> bytes:
    return msgspec.json.encode([{"op": "add", "path": _FIELD, "value": [{"name": name} for name in names]}])


@lru_cache(maxsize=1024)
def _append(names: tuple[str, ...]) -> bytes:
    return msgspec.json.encode([{"op": "add", "path": f"{_FIELD}/-", "value": {"name": name}} for name in names])
