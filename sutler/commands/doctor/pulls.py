"""Why Pods can't pull their images. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import NamedTuple

from sutler.commands.doctor import mend
from sutler.commands.doctor.finding import Finding, problem
from sutler.commands.doctor.snapshot import Failure, Patient, Snapshot
from sutler.commands.explain.decide import Explanation, Match, PullSecret, explain_as_it_is
from sutler.registry import Image, Mapping, MappingIndex
from sutler.registry.injection import EXCLUDE, Withheld

_LONGEST = 200


class Cause(NamedTuple):
    why: str
    fix: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    """A Pod and one image that it waits for."""

    seen: Snapshot
    patient: Patient
    failure: Failure
    found: Explanation

    @property
    def kubectl(self) -> str:
        return f"kubectl -n {self.patient.pod.namespace}"

    @property
    def said(self) -> str:
        """The kubelet's words, for the end of a sentence."""
        return f" ({_shortened(self.failure.message)})" if self.failure.message else ""

    @property
    def again(self) -> str:
        """What makes the Pod anew."""
        if self.patient.owner:
            return f"{self.kubectl} delete pod {self.patient.name}  # what made it makes another"
        return f"{self.kubectl} get pod {self.patient.name} -o yaml | kubectl replace --force -f -"

    def because(self, why: str, *fix: str) -> Cause:
        return Cause(f"can't pull {self.failure.image}: {why}", fix)

    def mapping_of(self, secret: str) -> Mapping | None:
        return next((match.mapping for match in self.found.matches if match.mapping.secret == secret), None)


def pulls(seen: Snapshot) -> Iterator[Finding]:
    """One finding for each cause: a hundred Pods of a Deployment have one."""
    index = MappingIndex(seen.world.mappings)
    groups: dict[tuple[str, str, str], list[tuple[Patient, Cause]]] = {}
    for patient in seen.patients:
        found = {each.use.image: each for each in explain_as_it_is(patient.pod, seen.world, index)}
        for failure in patient.failures:
            cause = _cause(_Case(seen, patient, failure, found[failure.image]))
            key = (patient.pod.namespace, patient.owner or patient.name, cause.why)
            groups.setdefault(key, []).append((patient, cause))
    for (namespace, owner, why), group in groups.items():
        patient, cause = group[0]
        more = f" (and {len(group) - 1} more of {owner})" if len(group) > 1 else ""
        yield problem(f"Pod {namespace}/{patient.name}{more}", why, *cause.fix)


def _cause(case: _Case) -> Cause:
    """The first thing that is wrong on the way from the image to the registry."""
    found = case.found
    if found.image is None:
        return Cause(f"has an image that nobody can pull: {'; '.join(found.problems)}", ())
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
    if found.tries:
        return _turned_away(case)
    return _uncovered(case, found.image)


def _came_too_early(case: _Case, lacking: Sequence[Match]) -> Cause:
    mapping = lacking[0].mapping
    if case.seen.created(mapping.name) > case.patient.created:
        why = f"it is older than mapping {mapping.name}, and a Pod gets its pull secrets when it is created"
    else:
        why = f"it lacks pull secret {mapping.secret} of mapping {mapping.name}: created while the webhook was away"
    return case.because(why, case.again)


def _unusable(case: _Case, secret: PullSecret) -> Cause:
    why = f"its pull secret {secret.name} can't be used: {secret.held.problem}"
    return case.because(why, f"{case.kubectl} describe secret {secret.name}")


def _missing(case: _Case, secret: PullSecret) -> Cause:
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
    if not case.failure.refused:
        return case.because(
            f"there is a credential, {first.key} of Secret {first.secret}, and yet{case.said or ' it fails'}"
        )
    why = f"the registry refuses the credential {first.key} of Secret {first.secret}{case.said}"
    mapping = case.mapping_of(first.secret)
    if mapping is None:
        return case.because(why, f"{case.kubectl} describe secret {first.secret}")
    check = f"sutler registry check {mapping.name} --image {quote(case.failure.image)}"
    return case.because(why, check, f"{_add(mapping)}  # a new password")


def _uncovered(case: _Case, image: Image) -> Cause:
    found, explain = case.found, f"sutler explain {quote(case.failure.image)} -n {case.patient.pod.namespace}"
    if found.matches:
        return _withheld(case, found.matches[0], explain)
    near = next((miss for miss in found.misses if not miss.near.elsewhere), None)
    if near:
        write = f", write {near.near.write}" if near.near.write else ""
        why = f"nothing matches, but the {near.owner}, {near.near.text}, nearly does: {near.near.why}{write}"
        edit = [f"kubectl edit registrymapping {near.mapping}"] if near.mapping and near.near.write else []
        return case.because(f"{why}{case.said}", *edit, explain)
    server = "/".join(image.name.split("/")[:2])
    why = f"no mapping is for it, so it is pulled without a credential{case.said}"
    return case.because(why, f"sutler registry add {quote(server)} --username NAME --password-stdin")


def _withheld(case: _Case, match: Match, explain: str) -> Cause:
    mapping, pod, world = match.mapping, case.patient.pod, case.seen.world
    why = f"mapping {mapping.name} matches, but {match.withheld or 'no key of its Secret does'}{case.said}"
    match match.reason:
        case Withheld.UNSELECTED:
            obj = case.seen.mapping(mapping.name)
            return case.because(why, *mend.let_select(obj, pod.namespace, world.labels(pod.namespace)), case.again)
        case Withheld.OBSERVED:
            return case.because(why, mend.let_inject(mapping.name), case.again)
        case Withheld.RESTRICTED:
            listed = world.account(pod.namespace, pod.account).pull_secrets
            return case.because(why, mend.let_name(pod.account, listed, mapping.secret, pod.namespace), case.again)
    if not pod.left_alone and world.labels(pod.namespace).get(EXCLUDE) == "true":
        return case.because(why, mend.let_in(pod.namespace), case.again)
    return case.because(why, explain)


def _add(mapping: Mapping) -> str:
    return f"sutler registry add {quote(mapping.registries[0])} --name {mapping.name} --username NAME --password-stdin"


def _shortened(text: str) -> str:
    """Its end: a kubelet's message goes from what it did at first to what went wrong at last, a colon at each step."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    end = text[-_LONGEST:]
    return f"…{end.partition(': ')[2] or end}"
