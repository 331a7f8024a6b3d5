"""Explains the images of a Pod: the pull secrets, the keys that the kubelet tries, and why not others. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sutler.cli.cluster_view import ClusterView, SecretInfo
from sutler.cli.pods import ImageUse, PodReport
from sutler.registry.explain import (
    CredentialTry,
    NearMiss,
    matching_pattern,
    near_miss_of_key,
    near_miss_of_registry,
    registry_matches,
    tries,
)
from sutler.registry.image import ImageError, ImageReference, parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.injection import WithholdReason
from sutler.registry.keyring import Keyring
from sutler.registry.mapping import Mapping
from sutler.text import quoted


@dataclass(frozen=True)
class MappingMatch:
    mapping: Mapping
    registry: str
    """The entry of spec.registries that matches."""
    withheld: str = ""
    """Why its Secret is not injected, as text; empty if it is injected."""
    reason: WithholdReason | None = None
    """The same for programs; None if the reason applies to the Pod and not to the mapping."""


@dataclass(frozen=True)
class ExplainedSecret:
    """A pull secret that the Pod has when it runs."""

    name: str
    origin: str
    """What adds it: the Pod, its ServiceAccount, or a mapping."""
    info: SecretInfo


@dataclass(frozen=True)
class SecretMiss:
    """A key or a registry that nearly matches the image."""

    owner: str
    """What has it, such as `key of Secret pull`."""
    near: NearMiss
    mapping: str = ""
    """The mapping whose registry it is; empty for a key."""


@dataclass
class Explanation:
    """What is known about one image of a Pod."""

    pod: PodReport
    use: ImageUse
    image: ImageReference | None = None
    """None if the reference is invalid."""
    matches: list[MappingMatch] = field(default_factory=list)
    secrets: list[ExplainedSecret] = field(default_factory=list)
    tries: list[CredentialTry] = field(default_factory=list)
    """Credentials that the kubelet sends, in order."""
    near_misses: list[SecretMiss] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def explain(pod: PodReport, view: ClusterView) -> list[Explanation]:
    """One explanation for each image. Each image may use any pull secret of the Pod."""
    index = MappingIndex(view.mappings)
    if pod.exists:
        return [_explain_created(each) for each in explain_existing(pod, view, index)]
    found = _matches(pod, view, index)
    own, origin = _initial_secrets(pod, view)
    secrets = [ExplainedSecret(name, origin, view.secret(pod.namespace, name)) for name in own]
    for match in (match for each in found for match in each.matches if not match.withheld):
        mapping = match.mapping
        if mapping.secret not in {secret.name for secret in secrets}:
            there = view.copy(mapping, pod.namespace)
            secrets.append(ExplainedSecret(mapping.secret, f"mapping {mapping.name}", there))
    return _with_tries(found, secrets, view)


def explain_existing(pod: PodReport, view: ClusterView, index: MappingIndex) -> list[Explanation]:
    """For a Pod that exists, with the pull secrets that it has: they cannot change."""
    secrets = [ExplainedSecret(name, "the Pod", view.secret(pod.namespace, name)) for name in pod.pull_secrets]
    return _with_tries(_matches(pod, view, index), secrets, view)


def _explain_created(found: Explanation) -> Explanation:
    """Marks pull secrets that the existing Pod lacks: only a new Pod would get them."""
    has = {secret.name for secret in found.secrets}
    for n, match in enumerate(found.matches):
        if not match.withheld and match.mapping.secret not in has:
            withheld = f"this Pod was created without Secret {match.mapping.secret}; a new Pod gets it"
            found.matches[n] = replace(match, withheld=withheld)
            found.problems.append(
                f"the Pod lacks pull secret {match.mapping.secret}: delete the Pod and create it again"
            )
    return found


def _matches(pod: PodReport, view: ClusterView, index: MappingIndex) -> list[Explanation]:
    skipped = _skip_reason(pod, view)
    return [_explanation(pod, use, view, index, skipped) for use in pod.images]


def _with_tries(found: list[Explanation], secrets: list[ExplainedSecret], view: ClusterView) -> list[Explanation]:
    for each in found:
        if each.image:
            each.secrets = secrets
            _add_tries(each, each.image, view)
        if each.pod.namespace in view.missing_namespaces:
            each.problems.append(f"there is no namespace {each.pod.namespace}")
    return found


def _explanation(pod: PodReport, use: ImageUse, view: ClusterView, index: MappingIndex, skipped: str) -> Explanation:
    try:
        image = parse_image(use.image)
    except ImageError as error:
        return Explanation(pod, use, problems=[str(error)])
    matches = []
    for mapping in index.lookup(image):
        pattern = matching_pattern(mapping, image)
        why = None if skipped else _withhold_reason(mapping, pod, view)
        text = _withhold_text(why, pod) if why else skipped
        matches.append(MappingMatch(mapping, pattern.text if pattern else "", text, why))
    return Explanation(pod, use, image, matches)


def _skip_reason(pod: PodReport, view: ClusterView) -> str:
    """Why the webhook changes nothing in the Pod; empty if it does."""
    if pod.skip_reason:
        return pod.skip_reason
    if not view.registered:
        return "Sutler's webhook is not registered in this cluster (see sutler doctor)"
    if view.is_excluded(pod.namespace):
        return f"namespace {pod.namespace} is excluded from the webhook"
    return ""


def _withhold_reason(mapping: Mapping, pod: PodReport, view: ClusterView) -> WithholdReason | None:
    why = view.withhold_reason(mapping, pod.namespace)
    if why is None and view.account(pod.namespace, pod.account).refuses(mapping.secret):
        return WithholdReason.RESTRICTED
    return why


def _withhold_text(why: WithholdReason, pod: PodReport) -> str:
    namespace = pod.namespace
    match why:
        case WithholdReason.UNKNOWN:
            return f"it selects namespaces by labels, and those of {namespace} are unknown (add its Namespace with -f)"
        case WithholdReason.UNSELECTED:
            return f"it does not select namespace {namespace}"
        case WithholdReason.OBSERVED:
            return "its mode is Observe"
        case WithholdReason.RESTRICTED:
            return f"ServiceAccount {pod.account} rejects Pods with pull secrets that it does not list"


def _initial_secrets(pod: PodReport, view: ClusterView) -> tuple[tuple[str, ...], str]:
    """The pull secrets that a Pod has before Sutler sees it, and their origin: its own, else its ServiceAccount's."""
    if pod.pull_secrets:
        return tuple(dict.fromkeys(pod.pull_secrets)), "the Pod itself"
    return view.account(pod.namespace, pod.account).pull_secrets, f"ServiceAccount {pod.account}"


def _add_tries(found: Explanation, image: ImageReference, view: ClusterView) -> None:
    found.tries = tries(image, [(secret.name, secret.info.keys) for secret in found.secrets])
    found.near_misses = [
        *_near_keys(found, image),
        *_near_source_keys(found, image, view),
        *_near_registries(found, image, view),
    ]
    found.problems = [
        f"Secret {secret.name} in namespace {found.pod.namespace} ({secret.origin}): {secret.info.problem}"
        for secret in found.secrets
        if secret.info.config is None and not secret.info.unknown
    ]
    found.problems += [
        f"Secret {secret.name} ({secret.origin}): the password of RegistryToken {token.token} ended at "
        f"{token.expires_at}. To find the cause: sutler token list"
        for secret in found.secrets
        if (token := secret.info.token) and token.has_ended(view.now)
    ]
    if found.tries or any(secret.info.unknown for secret in found.secrets):
        return
    withheld = next(
        (match for match in found.matches if match.withheld and match.reason is not WithholdReason.UNKNOWN), None
    )
    found.problems += _unusable_entries(found, image)
    if any(not match.withheld for match in found.matches) and not found.problems:
        found.problems.append("no key in the Pod's pull secrets matches this image: it is pulled without credentials")
    elif any(not miss.near.elsewhere for miss in found.near_misses):
        found.problems.append("only near misses, no match: the image is pulled without credentials")
    elif withheld and not found.pod.skip_reason and not found.problems:
        why = f"mapping {withheld.mapping.name} matches but is not injected: {withheld.withheld}"
        found.problems.append(f"{why}; the image is pulled without credentials")


def _unusable_entries(found: Explanation, image: ImageReference) -> Iterator[str]:
    """Entries that match the image and that the kubelet cannot use."""
    for secret in found.secrets:
        for left in secret.info.config.left if secret.info.config else ():
            if Keyring([left.key]).lookup(image.name):
                yield f"the entry {quoted(left.key)} of Secret {secret.name} is unusable: {left.why}"


def _near_keys(found: Explanation, image: ImageReference) -> Iterator[SecretMiss]:
    tried = {each.key for each in found.tries}
    for secret in found.secrets:
        for key in secret.info.keys:
            near = None if key in tried else near_miss_of_key(key, image)
            if near:
                yield SecretMiss(f"key of Secret {secret.name}", near)


def _near_source_keys(found: Explanation, image: ImageReference, view: ClusterView) -> Iterator[SecretMiss]:
    """Keys of source Secrets that are not copied, because they serve no registry of the mapping."""
    seen = {key for secret in found.secrets for key in secret.info.keys}
    sources = {match.mapping.copy_from for match in found.matches if match.mapping.copy_from and not match.withheld}
    for name in sorted(sources):
        source = view.secret(view.own_namespace, name).source
        for entry in source.entries if source else ():
            near = None if entry.key in seen else near_miss_of_key(entry.key, image)
            if near:
                yield SecretMiss(f"key of source {name}", near)


def _near_registries(found: Explanation, image: ImageReference, view: ClusterView) -> Iterator[SecretMiss]:
    matched = {match.mapping.name for match in found.matches}
    for mapping in view.mappings:
        for text in () if mapping.name in matched else mapping.registries:
            near = near_miss_of_registry(text, image)
            if near:
                yield SecretMiss(f"registry of mapping {mapping.name}", near, mapping.name)
    for invalid in view.invalid:
        for text in invalid.registries:
            near = near_miss_of_registry(text, image)
            if registry_matches(text, image):
                near = NearMiss(text, "it matches, but its mapping is invalid", "")
            if near:
                owner = f"registry of mapping {invalid.name}, which is invalid ({'; '.join(invalid.problems)})"
                yield SecretMiss(owner, near, invalid.name)
