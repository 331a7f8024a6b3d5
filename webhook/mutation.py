"""What is to be done about one Pod. Pure: request and state in, decision out."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from sutler.registry.image import ImageError, parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.injection import (
    Labels,
    SkipReason,
    WithholdReason,
    namespace_left_alone,
    pod_left_alone,
    withheld,
)
from sutler.registry.mapping import Mapping
from webhook.patch import add_secrets
from webhook.review import ReviewedPod, ReviewError, ReviewRequest, ReviewResponse
from webhook.state import StateProblem, WebhookState

_LONGEST_WARNING = 120  # the API asks for no more
_MOST_WARNINGS = 5


class AdmissionOutcome(StrEnum):
    """What became of a request; the values of a metric's label."""

    INJECTED = "injected"
    PRESENT = "present"  # the Pod names all that it needs already
    UNMATCHED = "unmatched"
    OBSERVED = WithholdReason.OBSERVED.value
    RESTRICTED = WithholdReason.RESTRICTED.value
    OPTED_OUT = SkipReason.OPTED_OUT.value
    EXCLUDED = SkipReason.EXCLUDED.value
    MIRROR = SkipReason.MIRROR.value
    UPDATE = "update"  # too late to inject, at most a warning
    IGNORED = "ignored"  # not about a Pod's images at all


class Decision(NamedTuple):
    outcome: AdmissionOutcome
    verdict: ReviewResponse
    mappings: tuple[str, ...] = ()
    """Those that matched, by name."""


class PodFacts(NamedTuple):
    """All of a new Pod that a decision depends on."""

    namespace: str
    account: str
    """Of the ServiceAccount, the name."""
    images: tuple[str, ...]
    secrets: tuple[str, ...] | None
    """None for no entry in imagePullSecrets."""


class MatchedMappings(NamedTuple):
    """What the mappings make of some images. Of these nothing else counts for a decision."""

    mappings: tuple[Mapping, ...]
    """That are for one of the images or more, in the order of the images."""
    names: tuple[str, ...]
    """Theirs."""
    warnings: tuple[str, ...]
    """About images that can't be read."""


class _Wanted(NamedTuple):
    """What the Pod's images need."""

    inject: dict[str, Mapping]
    """By pull secret, in the order of the images."""
    observe: dict[str, Mapping]
    warnings: list[str]


def decide(request: ReviewRequest, labels: Labels | None, state: WebhookState) -> Decision:
    """`labels` are the namespace's, None if nobody knows them. Raises ReviewError for what can't be answered."""
    facts = read(request, labels, state)
    if isinstance(facts, Decision):
        return facts
    return inject(facts, match(facts.images, state.index), labels, state)


def read(request: ReviewRequest, labels: Labels | None, state: WebhookState) -> PodFacts | Decision:
    """The facts of a Pod that may need pull secrets; of any other request the decision. Raises ReviewError."""
    resource, operation = request.resource, request.operation
    if resource is None or resource.resource != "pods" or resource.group:
        return _left_alone(AdmissionOutcome.IGNORED, "sutler: this webhook is for Pods only, mend its configuration")
    if operation not in {"CREATE", "UPDATE"} or request.sub_resource not in {None, "", "ephemeralcontainers"}:
        return _left_alone(AdmissionOutcome.IGNORED)
    pod = request.object
    if pod is None or pod.spec is None:
        raise ReviewError("request.object is missing" if pod is None else "request.object.spec is missing")
    namespace = request.namespace or ""
    left_alone = _pod_left_alone(pod) or namespace_left_alone(namespace, labels, state.excluded)
    if left_alone:
        return _left_alone(AdmissionOutcome(left_alone.value))
    spec = pod.spec
    facts = PodFacts(namespace, spec.service_account_name or "default", spec.images(), spec.secrets())
    if operation == "UPDATE" or request.sub_resource:
        old = request.old_pod().spec
        return _too_late(facts, set(old.images()) if old else set(), labels, state)
    return facts


def match(images: Iterable[str], index: MappingIndex) -> MatchedMappings:
    found: dict[str, Mapping] = {}
    warnings: list[str] = []
    for text in images:
        try:
            mappings = index.lookup(parse_image(text))
        except ImageError as error:
            warnings.append(f"sutler: {error}")
            continue
        for mapping in mappings:
            found[mapping.name] = mapping
    return MatchedMappings(tuple(found.values()), tuple(found), tuple(warnings))


def inject(facts: PodFacts, matched: MatchedMappings, labels: Labels | None, state: WebhookState) -> Decision:
    """What a new Pod gets. Of its images nothing is looked at but what they matched."""
    wanted = _wanted(matched, facts.namespace, labels)
    account = state.account(facts.namespace, facts.account)
    if not wanted.inject and not wanted.observe:
        return Decision(AdmissionOutcome.UNMATCHED, ReviewResponse(warnings=_told(wanted.warnings)))
    present = facts.secrets or ()
    missing = [name for name in wanted.inject if name not in present]
    add = tuple(name for name in missing if not account.refuses(name))
    _warn(wanted, facts, missing, add, state)
    verdict = ReviewResponse(
        patch=add_secrets(facts.secrets, add) if add else None,
        patch_type="JSONPatch" if add else None,
        warnings=_told(wanted.warnings),
        audit_annotations=_audit(wanted, add, present),
    )
    return Decision(_outcome(wanted, missing, add), verdict, _names(wanted))


def _left_alone(outcome: AdmissionOutcome, *warnings: str) -> Decision:
    audit = None if outcome is AdmissionOutcome.IGNORED else {"skipped": outcome.value}
    return Decision(outcome, ReviewResponse(warnings=list(warnings) or None, audit_annotations=audit))


def _pod_left_alone(pod: ReviewedPod) -> SkipReason | None:
    metadata = pod.metadata
    if metadata is None:
        return None
    labels, annotations = metadata.labels, metadata.annotations
    if annotations is None:
        return pod_left_alone(None, None, labels.inject) if labels else None
    return pod_left_alone(annotations.mirror, annotations.inject, labels.inject if labels else None)


def _too_late(facts: PodFacts, known: set[str], labels: Labels | None, state: WebhookState) -> Decision:
    """ImagePullSecrets can't change any more: say so to whoever brings in an image that needs another one."""
    images = [image for image in facts.images if image not in known]
    wanted = _wanted(match(images, state.index), facts.namespace, labels)
    wanted.warnings.extend(
        f"sutler: pull secret {name} (mapping {mapping.name}) can't be added to a Pod that exists, create it again"
        for name, mapping in wanted.inject.items()
        if name not in (facts.secrets or ())
    )
    return Decision(AdmissionOutcome.UPDATE, ReviewResponse(warnings=_told(wanted.warnings)), _names(wanted))


def _wanted(matched: MatchedMappings, namespace: str, labels: Labels | None) -> _Wanted:
    wanted = _Wanted({}, {}, [*matched.warnings])
    unknown = False
    for mapping in matched.mappings:
        why = withheld(mapping, labels)
        if why is None:
            wanted.inject.setdefault(mapping.secret, mapping)
        elif why is WithholdReason.OBSERVED:
            wanted.observe.setdefault(mapping.secret, mapping)
        elif why is WithholdReason.UNKNOWN:
            unknown = True
    if unknown:
        wanted.warnings.append(f"sutler: namespace {namespace} could not be read, a pull secret may be missing")
    return wanted


def _warn(wanted: _Wanted, facts: PodFacts, missing: list[str], add: tuple[str, ...], state: WebhookState) -> None:
    """What whoever creates the Pod would want to know."""
    refused = ", ".join(name for name in missing if name not in add)
    if refused:
        wanted.warnings.append(f"sutler: ServiceAccount {facts.account} does not list pull secret {refused}, not added")
    for name in add:
        trouble = state.troubles.get(wanted.inject[name].name)
        if trouble and trouble.concerns(facts.namespace):
            wanted.warnings.append(f"sutler: pull secret {name}: {_here(trouble, facts.namespace, name)}")


def _here(trouble: StateProblem, namespace: str, secret: str) -> str:
    """Of what is wrong with a mapping what concerns this namespace, where that is said apart."""
    place = f"{namespace}/{secret}"
    told = next((part for part in _parts(trouble.text) if part.startswith((f"{place} ", f"{place}:"))), "")
    if told or trouble.lacking is None:
        return told or trouble.text
    return f"it is not in this namespace yet ({trouble.text})"


def _parts(text: str) -> list[str]:
    """Of a text such as `Reason: NAMESPACE/SECRET …; NAMESPACE/SECRET …. What to do`, those between the semicolons."""
    return text.partition(": ")[2].partition(". ")[0].split("; ")


def _outcome(wanted: _Wanted, missing: list[str], add: tuple[str, ...]) -> AdmissionOutcome:
    if add:
        return AdmissionOutcome.INJECTED
    if missing:
        return AdmissionOutcome.RESTRICTED
    return AdmissionOutcome.PRESENT if wanted.inject else AdmissionOutcome.OBSERVED


def _names(wanted: _Wanted) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mapping.name for found in (wanted.inject, wanted.observe) for mapping in found.values()))


def _audit(wanted: _Wanted, add: tuple[str, ...], present: tuple[str, ...]) -> dict[str, str]:
    """For the audit log: each pull secret with the mapping that asked for it, under what became of it."""
    kinds: dict[str, list[str]] = {}
    for name, mapping in wanted.inject.items():
        kind = "injected" if name in add else "present" if name in present else "restricted"
        kinds.setdefault(kind, []).append(f"{name} (mapping {mapping.name})")
    for name, mapping in wanted.observe.items():
        kinds.setdefault("observed", []).append(f"{name} (mapping {mapping.name})")
    return {kind: ", ".join(which) for kind, which in kinds.items()}


def _told(warnings: list[str]) -> list[str] | None:
    if not warnings:
        return None
    if len(warnings) > _MOST_WARNINGS:
        rest = len(warnings) - _MOST_WARNINGS + 1
        warnings = [*warnings[: _MOST_WARNINGS - 1], f"sutler: {rest} more warnings like these"]
    return [text if len(text) <= _LONGEST_WARNING else f"{text[: _LONGEST_WARNING - 3]}..." for text in warnings]
