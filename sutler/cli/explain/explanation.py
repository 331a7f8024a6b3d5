"""From Pods and what is known to which keys the kubelet tries, and why not others. Pure."""

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
    """A mapping that is for the image."""

    mapping: Mapping
    registry: str
    """The entry by which it matches."""
    withheld: str = ""
    """Why its Secret is not injected all the same; empty: it is."""
    reason: WithholdReason | None = None
    """The same for programs, where it is for the mapping and not for the Pod as a whole."""


@dataclass(frozen=True)
class ExplainedSecret:
    """One of the Pod's pull secrets, as it will be when it runs."""

    name: str
    origin: str
    held: SecretInfo


@dataclass(frozen=True)
class SecretMiss:
    owner: str
    """Whose key or registry it is."""
    near: NearMiss
    mapping: str = ""
    """The name of the mapping whose registry it is."""


@dataclass
class Explanation:
    pod: PodReport
    use: ImageUse
    image: ImageReference | None = None
    matches: list[MappingMatch] = field(default_factory=list)
    secrets: list[ExplainedSecret] = field(default_factory=list)
    tries: list[CredentialTry] = field(default_factory=list)
    misses: list[SecretMiss] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def explain(pod: PodReport, world: ClusterView) -> list[Explanation]:
    """One for each image. All of the Pod's pull secrets may serve any of them."""
    index = MappingIndex(world.mappings)
    if pod.exists:
        return [_too_late(each) for each in explain_as_it_is(pod, world, index)]
    found = _matches(pod, world, index)
    own, origin = _own(pod, world)
    secrets = [ExplainedSecret(name, origin, world.secret(pod.namespace, name)) for name in own]
    for match in (match for each in found for match in each.matches if not match.withheld):
        mapping = match.mapping
        if mapping.secret not in {secret.name for secret in secrets}:
            there = world.copy(mapping, pod.namespace)
            secrets.append(ExplainedSecret(mapping.secret, f"mapping {mapping.name}", there))
    return _judged(found, secrets, world)


def explain_as_it_is(pod: PodReport, world: ClusterView, index: MappingIndex) -> list[Explanation]:
    """For a Pod that exists: its pull secrets can't change any more."""
    secrets = [ExplainedSecret(name, "the Pod", world.secret(pod.namespace, name)) for name in pod.pull_secrets]
    return _judged(_matches(pod, world, index), secrets, world)


def _too_late(found: Explanation) -> Explanation:
    """The Pod is there: what its images match would go into a new one only."""
    has = {secret.name for secret in found.secrets}
    for n, match in enumerate(found.matches):
        if not match.withheld and match.mapping.secret not in has:
            withheld = f"this Pod was created without Secret {match.mapping.secret}, a new one gets it"
            found.matches[n] = replace(match, withheld=withheld)
            found.problems.append(f"the Pod lacks pull secret {match.mapping.secret}: delete it and create it again")
    return found


def _matches(pod: PodReport, world: ClusterView, index: MappingIndex) -> list[Explanation]:
    left_alone = _left_alone(pod, world)
    return [_matched(pod, use, world, index, left_alone) for use in pod.images]


def _judged(found: list[Explanation], secrets: list[ExplainedSecret], world: ClusterView) -> list[Explanation]:
    for each in found:
        if each.image:
            each.secrets = secrets
            _judge(each, each.image, world)
        if each.pod.namespace in world.absent:
            each.problems.append(f"there is no namespace {each.pod.namespace}")
    return found


def _matched(pod: PodReport, use: ImageUse, world: ClusterView, index: MappingIndex, left_alone: str) -> Explanation:
    try:
        image = parse_image(use.image)
    except ImageError as error:
        return Explanation(pod, use, problems=[str(error)])
    matches = []
    for mapping in index.lookup(image):
        pattern = matching_pattern(mapping, image)
        why = None if left_alone else _withheld(mapping, pod, world)
        words = _in_words(why, pod) if why else left_alone
        matches.append(MappingMatch(mapping, pattern.text if pattern else "", words, why))
    return Explanation(pod, use, image, matches)


def _left_alone(pod: PodReport, world: ClusterView) -> str:
    if pod.left_alone:
        return pod.left_alone
    if not world.registered:
        return "Sutler's webhook is not registered in this cluster (sutler doctor says more)"
    if world.excluded(pod.namespace):
        return f"Pods of namespace {pod.namespace} are not sent to Sutler"
    return ""


def _withheld(mapping: Mapping, pod: PodReport, world: ClusterView) -> WithholdReason | None:
    why = world.withheld(mapping, pod.namespace)
    if why is None and world.account(pod.namespace, pod.account).refuses(mapping.secret):
        return WithholdReason.RESTRICTED
    return why


def _in_words(why: WithholdReason, pod: PodReport) -> str:
    namespace = pod.namespace
    match why:
        case WithholdReason.UNKNOWN:
            return (
                f"it selects namespaces by labels, and the labels of {namespace} are not known (give its Namespace too)"
            )
        case WithholdReason.UNSELECTED:
            return f"it does not select namespace {namespace}"
        case WithholdReason.OBSERVED:
            return "its mode is Observe"
        case WithholdReason.RESTRICTED:
            return f"ServiceAccount {pod.account} refuses Pods with pull secrets that it does not list"


def _own(pod: PodReport, world: ClusterView) -> tuple[tuple[str, ...], str]:
    """Those that a Pod has before Sutler sees it: its own, or if it has none its ServiceAccount's."""
    if pod.pull_secrets:
        return tuple(dict.fromkeys(pod.pull_secrets)), "the Pod itself"
    return world.account(pod.namespace, pod.account).pull_secrets, f"ServiceAccount {pod.account}"


def _judge(found: Explanation, image: ImageReference, world: ClusterView) -> None:
    found.tries = tries(image, [(secret.name, secret.held.keys) for secret in found.secrets])
    found.misses = [
        *_missed_keys(found, image),
        *_missed_sources(found, image, world),
        *_missed_registries(found, image, world),
    ]
    found.problems = [
        f"Secret {secret.name} in namespace {found.pod.namespace} ({secret.origin}): {secret.held.problem}"
        for secret in found.secrets
        if secret.held.config is None and not secret.held.unknown
    ]
    if found.tries or any(secret.held.unknown for secret in found.secrets):
        return
    barred = next(
        (match for match in found.matches if match.withheld and match.reason is not WithholdReason.UNKNOWN), None
    )
    found.problems += _useless(found, image)
    if any(not match.withheld for match in found.matches) and not found.problems:
        found.problems.append(
            "none of the keys in the Pod's pull secrets is for this image: it is pulled without credentials"
        )
    elif any(not miss.near.elsewhere for miss in found.misses):
        found.problems.append("nothing matches, though something nearly does: it is pulled without credentials")
    elif barred and not found.pod.left_alone and not found.problems:
        why = f"mapping {barred.mapping.name} matches and is not injected, {barred.withheld}"
        found.problems.append(f"{why}: it is pulled without credentials")


def _useless(found: Explanation, image: ImageReference) -> Iterator[str]:
    """The entries that are for the image, and that the kubelet can't use."""
    for secret in found.secrets:
        for left in secret.held.config.left if secret.held.config else ():
            if Keyring([left.key]).lookup(image.name):
                yield f"the entry {quoted(left.key)} of Secret {secret.name} is of no use: {left.why}"


def _missed_keys(found: Explanation, image: ImageReference) -> Iterator[SecretMiss]:
    tried = {each.key for each in found.tries}
    for secret in found.secrets:
        for key in secret.held.keys:
            near = None if key in tried else near_miss_of_key(key, image)
            if near:
                yield SecretMiss(f"key of Secret {secret.name}", near)


def _missed_sources(found: Explanation, image: ImageReference, world: ClusterView) -> Iterator[SecretMiss]:
    """Keys of sources that are copied for no registry of their mapping."""
    seen = {key for secret in found.secrets for key in secret.held.keys}
    sources = {match.mapping.copy_from for match in found.matches if match.mapping.copy_from and not match.withheld}
    for name in sorted(sources):
        source = world.secret(world.own_namespace, name).source
        for entry in source.entries if source else ():
            near = None if entry.key in seen else near_miss_of_key(entry.key, image)
            if near:
                yield SecretMiss(f"key of source {name}", near)


def _missed_registries(found: Explanation, image: ImageReference, world: ClusterView) -> Iterator[SecretMiss]:
    matched = {match.mapping.name for match in found.matches}
    for mapping in world.mappings:
        for text in () if mapping.name in matched else mapping.registries:
            near = near_miss_of_registry(text, image)
            if near:
                yield SecretMiss(f"registry of mapping {mapping.name}", near, mapping.name)
    for broken in world.broken:
        for text in broken.registries:
            near = near_miss_of_registry(text, image)
            if registry_matches(text, image):
                near = NearMiss(text, "it matches, but something else in its mapping is wrong", "")
            if near:
                owner = f"registry of mapping {broken.name}, which can't be used ({'; '.join(broken.problems)})"
                yield SecretMiss(owner, near, broken.name)
