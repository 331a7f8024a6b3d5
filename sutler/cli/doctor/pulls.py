"""Why Pods can't pull their images. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import NamedTuple

from sutler.cli.doctor import fixes, other_causes
from sutler.cli.doctor.cluster_state import ClusterState, FailingPod, ImageFailure
from sutler.cli.doctor.findings import Finding, problem
from sutler.cli.doctor.kubelet_messages import KubeletMessage
from sutler.cli.doctor.phrases import OF_CREDENTIALS, PullFailure
from sutler.cli.explain.explanation import ExplainedSecret, Explanation, MappingMatch, explain_as_it_is
from sutler.registry.image import ImageReference
from sutler.registry.index import MappingIndex
from sutler.registry.injection import EXCLUDE, WithholdReason
from sutler.registry.mapping import Mapping

_LONGEST = 200


class Cause(NamedTuple):
    why: str
    fix: tuple[str, ...]
    said: str = ""
    """The kubelet's words, which differ from Pod to Pod where the cause does not."""


@dataclass(frozen=True)
class _Case:
    """A Pod and one image that it waits for."""

    seen: ClusterState
    patient: FailingPod
    failure: ImageFailure
    found: Explanation
    said: KubeletMessage

    @property
    def kubectl(self) -> str:
        return f"kubectl -n {self.patient.pod.namespace}"

    @property
    def again(self) -> str:
        """What makes the Pod anew."""
        if self.patient.owner:
            return f"{self.kubectl} delete pod {self.patient.name}  # what made it makes another"
        return f"{self.kubectl} get pod {self.patient.name} -o yaml | kubectl replace --force -f -"

    @property
    def describe(self) -> str:
        return f"{self.kubectl} describe pod {self.patient.name}"

    @property
    def explain(self) -> str:
        return f"sutler explain {quote(self.failure.image)} -n {self.patient.pod.namespace}"

    def because(self, why: str, *fix: str) -> Cause:
        return Cause(f"can't pull {self.failure.image}: {why}", fix)

    def as_said(self, why: str, *fix: str) -> Cause:
        return self.because(why, *fix)._replace(said=self.words)

    @property
    def words(self) -> str:
        """The kubelet's, for the end of a sentence."""
        return f" ({_shortened(self.failure.message)})" if self.failure.message else ""

    def mapping_of(self, secret: str) -> Mapping | None:
        return next((match.mapping for match in self.found.matches if match.mapping.secret == secret), None)


def pulls(seen: ClusterState) -> Iterator[Finding]:
    """One finding for each cause: a hundred Pods of a Deployment have one."""
    index = MappingIndex(seen.world.mappings)
    groups: dict[tuple[str, str, str], list[tuple[FailingPod, Cause]]] = {}
    for patient in seen.patients:
        found = {each.use.image: each for each in explain_as_it_is(patient.pod, seen.world, index)}
        for failure in patient.failures:
            cause = _cause(_Case(seen, patient, failure, found[failure.image], failure.said))
            key = (patient.pod.namespace, patient.owner or patient.name, cause.why)
            groups.setdefault(key, []).append((patient, cause))
    for (namespace, owner, why), group in groups.items():
        patient, cause = group[0]
        more = f" (and {len(group) - 1} more of {owner})" if len(group) > 1 else ""
        yield problem(f"Pod {namespace}/{patient.name}{more}", f"{why}{cause.said}", *cause.fix)


def _cause(case: _Case) -> Cause:
    """What the kubelet says comes first."""
    found, kind = case.found, case.said.kind
    if found.image is None:
        return Cause(f"has an image that can't be pulled: {'; '.join(found.problems)}", ())
    if kind not in OF_CREDENTIALS:
        return _elsewhere(case)
    cause = _of_credentials(case, found.image)
    # Words that say nothing known are for the reader to judge, beside what is wrong in any case.
    return cause._replace(said=case.words) if kind is PullFailure.UNKNOWN else cause


def _of_credentials(case: _Case, image: ImageReference) -> Cause:
    """The first thing that is wrong on the way from the image to its credential."""
    found, kind = case.found, case.said.kind
    has = case.patient.pod.pull_secrets
    lacking = [match for match in found.matches if not match.withheld and match.mapping.secret not in has]
    if lacking:
        return _came_too_early(case, lacking)
    for secret in found.secrets:
        if secret.held.missing:
            # The kubelet does without it: what it has for this image counts, unless this was to be for it, too.
            if not found.tries or case.mapping_of(secret.name):
                return _missing(case, secret)
        elif secret.held.config is None and not secret.held.unknown:
            return _unusable(case, secret)
    if kind is PullFailure.SECRET:
        return case.as_said("the kubelet can't read one of its pull secrets", f"{case.kubectl} get secrets")
    if found.tries:
        return _turned_away(case)
    return _uncovered(case, image)


def _elsewhere(case: _Case) -> Cause:
    node = case.patient.node
    look = [f"kubectl describe node {node}"] if node and other_causes.of_node(case.said.kind) else []
    return case.as_said(other_causes.why(case.said, case.found.image, node), *look, case.describe)


def _came_too_early(case: _Case, lacking: Sequence[MappingMatch]) -> Cause:
    mapping = lacking[0].mapping
    if case.seen.created(mapping.name) > case.patient.created:
        why = f"it is older than mapping {mapping.name}, and a Pod gets its pull secrets when it is created"
    else:
        why = f"it lacks pull secret {mapping.secret} of mapping {mapping.name}: created while the webhook was away"
        why += ", or before mapping or namespace were changed"
    return case.because(why, case.again)


def _unusable(case: _Case, secret: ExplainedSecret) -> Cause:
    why = f"its pull secret {secret.name} can't be used: {secret.held.problem}"
    return case.because(why, f"{case.kubectl} describe secret {secret.name}")


def _missing(case: _Case, secret: ExplainedSecret) -> Cause:
    name, mapping, own = secret.name, case.mapping_of(secret.name), case.seen.world.own_namespace
    if mapping is None:
        return case.because(f"its pull secret {name} does not exist", f"{case.kubectl} get secrets")
    look = f"kubectl describe registrymapping {mapping.name}"
    if mapping.copy_from is None:
        return case.because(f"Secret {name} does not exist, and mapping {mapping.name} copies none", look)
    if case.seen.world.secret(own, mapping.copy_from).missing:
        why = f"Secret {name} does not exist, nor does its source {own}/{mapping.copy_from}"
        return case.because(why, _add(mapping))
    return case.because(f"Secret {name} of mapping {mapping.name} has not been copied here", look)


def _turned_away(case: _Case) -> Cause:
    first = case.found.tries[0]
    credential = f"{first.key} of Secret {first.secret}"
    if case.said.kind is PullFailure.NEVER:
        newer = "if that is newer than the image on the node, IfNotPresent lets the kubelet ask the registry with it"
        return case.because(f"{_never(case)}. Its credential is {credential}: {newer}", case.describe)
    if case.said.kind is PullFailure.UNKNOWN:
        return case.as_said(f"there is a credential, {credential}, and yet it fails", case.describe)
    why = f"the registry refuses the credential {credential}"
    if case.said.kind is PullFailure.HIDDEN:
        why = f"there is no such image, or the registry refuses the credential {credential}: it does not tell which"
    mapping = case.mapping_of(first.secret)
    if mapping is None:
        return case.as_said(why, f"{case.kubectl} describe secret {first.secret}")
    check = f"sutler registry check {mapping.name} --image {quote(case.failure.image)}"
    return case.as_said(why, check, f"{_add(mapping)}  # a new password")


def _uncovered(case: _Case, image: ImageReference) -> Cause:  # noqa: PLR0911 - a list of cases
    found, kind = case.found, case.said.kind
    unknown = [secret.name for secret in found.secrets if secret.held.unknown]
    if unknown:
        why = f"whether its pull secret {unknown[0]} has a credential for it is unknown: you may not read that"
        return case.as_said(why, case.explain)
    if found.matches:
        return _withheld(case, found.matches[0])
    near = next((miss for miss in found.misses if not miss.near.elsewhere), None)
    if near:
        write = f", write {near.near.write}" if near.near.write else ""
        why = f"nothing matches, but the {near.owner}, {near.near.text}, nearly does: {near.near.why}{write}"
        edit = [f"kubectl edit registrymapping {near.mapping}"] if near.mapping and near.near.write else []
        return case.as_said(why, *edit, case.explain)
    if not case.seen.mappings_seen:
        return case.as_said("whether a mapping is for it is unknown: you may not read RegistryMappings", case.describe)
    if kind is PullFailure.NEVER:
        return case.because(f"{_never(case)}. No mapping is for it", case.describe)
    if kind is PullFailure.UNKNOWN:
        words = "the kubelet's words tell no cause" if case.failure.message else "the kubelet's words are gone"
        return case.as_said(f"{words}. No mapping is for it, so it is pulled without a credential", case.describe)
    server = "/".join(image.name.split("/")[:2])
    why = "no mapping is for it, so it is pulled without a credential"
    if kind is PullFailure.HIDDEN:
        why = f"there is no such image, or it needs a credential, and {why}: check its name first"
    return case.as_said(why, f"sutler registry add {quote(server)} --username NAME --password-stdin")


def _never(case: _Case) -> str:
    return other_causes.why(case.said, case.found.image, case.patient.node)


def _withheld(case: _Case, match: MappingMatch) -> Cause:
    mapping, pod, world = match.mapping, case.patient.pod, case.seen.world
    why = f"mapping {mapping.name} matches, but {match.withheld or 'no key of its Secret does'}"
    match match.reason:
        case WithholdReason.UNSELECTED:
            obj = case.seen.mapping(mapping.name)
            return case.as_said(why, *fixes.let_select(obj, pod.namespace, world.labels(pod.namespace)), case.again)
        case WithholdReason.OBSERVED:
            return case.as_said(why, fixes.let_inject(mapping.name), case.again)
        case WithholdReason.RESTRICTED:
            listed = world.account(pod.namespace, pod.account).pull_secrets
            return case.as_said(why, fixes.let_name(pod.account, listed, mapping.secret, pod.namespace), case.again)
    if not pod.left_alone and world.labels(pod.namespace).get(EXCLUDE) == "true":
        return case.as_said(why, fixes.let_in(pod.namespace), case.again)
    return case.as_said(why, case.explain)


def _add(mapping: Mapping) -> str:
    return f"sutler registry add {quote(mapping.registries[0])} --name {mapping.name} --username NAME --password-stdin"


def _shortened(text: str) -> str:
    """Its end: a kubelet's message goes from what it did at first to what went wrong at last, a colon at each step."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    end = text[-_LONGEST:]
    return f"…{end.partition(': ')[2] or end}"
