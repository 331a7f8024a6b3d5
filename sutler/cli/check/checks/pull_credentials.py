"""Checks of Pods that cannot pull their images: what is wrong on the way from the image to its credential."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import NamedTuple

from sutler import well_known
from sutler.cli.check import fixes
from sutler.cli.check.cluster_state import UNREAD_MAPPINGS, ClusterState, FailingPod, ImageFailure
from sutler.cli.check.findings import Finding, problem
from sutler.cli.check.kubelet_messages import KubeletMessage
from sutler.cli.check.non_credential_texts import failure_text, is_node_failure
from sutler.cli.check.pull_failures import CREDENTIAL_FAILURES, PullFailure
from sutler.cli.explain.explanation import ExplainedSecret, Explanation, MappingMatch, explain_existing
from sutler.registry.image import ImageReference
from sutler.registry.index import MappingIndex
from sutler.registry.injection import WithholdReason
from sutler.registry.mapping import Mapping

_LONGEST_MESSAGE = 200


class Cause(NamedTuple):
    """Why a Pod cannot pull an image."""

    why: str
    fix: tuple[str, ...]
    message: str = ""
    """The kubelet's message in parentheses. It differs from Pod to Pod where the cause does not."""


@dataclass(frozen=True)
class _Case:
    """A Pod and one image that it cannot pull."""

    state: ClusterState
    failing: FailingPod
    failure: ImageFailure
    explanation: Explanation
    message: KubeletMessage

    @property
    def kubectl(self) -> str:
        return f"kubectl -n {self.failing.pod.namespace}"

    @property
    def recreate(self) -> str:
        """The command that replaces the Pod with a new one."""
        if self.failing.owner:
            return f"{self.kubectl} delete pod {self.failing.name}  # its controller creates another"
        return f"{self.kubectl} get pod {self.failing.name} -o yaml | kubectl replace --force -f -"

    @property
    def describe(self) -> str:
        return f"{self.kubectl} describe pod {self.failing.name}"

    @property
    def explain(self) -> str:
        return f"sutler explain {quote(self.failure.image)} -n {self.failing.pod.namespace}"

    @property
    def quoted_message(self) -> str:
        """The kubelet's message, to end a sentence with."""
        return f" ({_last_steps(self.failure.message)})" if self.failure.message else ""

    def cause(self, why: str, *fix: str) -> Cause:
        return Cause(f"cannot pull {self.failure.image}: {why}", fix)

    def cause_with_message(self, why: str, *fix: str) -> Cause:
        return self.cause(why, *fix)._replace(message=self.quoted_message)

    def mapping_of(self, secret: str) -> Mapping | None:
        return next((match.mapping for match in self.explanation.matches if match.mapping.secret == secret), None)


def failing_pods(state: ClusterState) -> Iterator[Finding]:
    """One finding for each cause: a hundred Pods of one Deployment share a finding."""
    index = MappingIndex(state.view.mappings)
    groups: dict[tuple[str, str, str], list[tuple[FailingPod, Cause]]] = {}
    for failing in state.failing_pods:
        found = {each.use.image: each for each in explain_existing(failing.pod, state.view, index)}
        for failure in failing.failures:
            cause = _cause(_Case(state, failing, failure, found[failure.image], failure.parse()))
            key = (failing.pod.namespace, failing.owner or failing.name, cause.why)
            groups.setdefault(key, []).append((failing, cause))
    for (namespace, owner, why), group in groups.items():
        failing, cause = group[0]
        more = f" (and {len(group) - 1} more of {owner})" if len(group) > 1 else ""
        yield problem(f"Pod {namespace}/{failing.name}{more}", f"{why}{cause.message}", *cause.fix)


def _cause(case: _Case) -> Cause:
    """The kubelet's message decides what to look at."""
    explanation, kind = case.explanation, case.message.kind
    if explanation.image is None:
        return Cause(f"has an image that cannot be pulled: {'; '.join(explanation.problems)}", ())
    if kind not in CREDENTIAL_FAILURES:
        return _other_failure(case)
    cause = _credential_failure(case, explanation.image)
    # The reader judges a message of unknown meaning, beside the findings that hold in any case.
    return cause._replace(message=case.quoted_message) if kind is PullFailure.UNKNOWN else cause


def _other_failure(case: _Case) -> Cause:
    node = case.failing.node
    describe = [f"kubectl describe node {node}"] if node and is_node_failure(case.message.kind) else []
    why = failure_text(case.message, case.explanation.image, node)
    return case.cause_with_message(why, *describe, case.describe)


def _credential_failure(case: _Case, image: ImageReference) -> Cause:
    """The first thing that is wrong on the way from the image to its credential."""
    explanation = case.explanation
    listed = case.failing.pod.pull_secrets
    lacking = [match for match in explanation.matches if not match.withheld and match.mapping.secret not in listed]
    if lacking:
        return _lacks_secret(case, lacking)
    for secret in explanation.secrets:
        if secret.info.missing:
            # The kubelet ignores a missing Secret. It is the cause only if this image needs it.
            if not explanation.tries or case.mapping_of(secret.name):
                return _missing_secret(case, secret)
        elif secret.info.config is None and not secret.info.unknown:
            why = f"its pull secret {secret.name} is unusable: {secret.info.problem}"
            return case.cause(why, f"{case.kubectl} describe secret {secret.name}")
    if case.message.kind is PullFailure.SECRET:
        return case.cause_with_message(
            "the kubelet cannot parse one of its pull secrets", f"{case.kubectl} get secrets"
        )
    return _rejected_credential(case) if explanation.tries else _no_credential(case, image)


def _lacks_secret(case: _Case, lacking: Sequence[MappingMatch]) -> Cause:
    mapping = lacking[0].mapping
    created = str(case.state.mapping(mapping.name)["metadata"].get("creationTimestamp", ""))
    if created > case.failing.created:
        why = f"it is older than mapping {mapping.name}, and a Pod gets its pull secrets when it is created"
    else:
        why = f"it lacks pull secret {mapping.secret} of mapping {mapping.name}: it was created while the webhook was"
        why += " down, or before the mapping or the namespace was changed"
    return case.cause(why, case.recreate)


def _missing_secret(case: _Case, secret: ExplainedSecret) -> Cause:
    name, mapping, own = secret.name, case.mapping_of(secret.name), case.state.view.own_namespace
    if mapping is None:
        return case.cause(f"its pull secret {name} does not exist", f"{case.kubectl} get secrets")
    describe = f"kubectl describe registrymapping {mapping.name}"
    if mapping.copy_from is None:
        return case.cause(f"Secret {name} does not exist, and mapping {mapping.name} copies none", describe)
    if case.state.view.secret(own, mapping.copy_from).missing:
        why = f"Secret {name} does not exist, nor does its source Secret {own}/{mapping.copy_from}"
        return case.cause(why, _add(mapping))
    return case.cause(f"Secret {name} of mapping {mapping.name} has not been copied to this namespace", describe)


def _rejected_credential(case: _Case) -> Cause:
    first = case.explanation.tries[0]
    credential = f"{first.key} of Secret {first.secret}"
    if case.message.kind is PullFailure.NEVER:
        newer = "If that is newer than the image on the node, use IfNotPresent, so that the kubelet sends it"
        return case.cause(f"{_never(case)}. Its credential is {credential}. {newer}", case.describe)
    if case.message.kind is PullFailure.UNKNOWN:
        return case.cause_with_message(f"it has the credential {credential}, and the pull fails", case.describe)
    why = f"the registry rejects the credential {credential}"
    if case.message.kind is PullFailure.HIDDEN:
        why = f"the image does not exist, or {why}: the registry does not say which"
    mapping = case.mapping_of(first.secret)
    if mapping is None:
        return case.cause_with_message(why, f"{case.kubectl} describe secret {first.secret}")
    check = f"sutler registry check {mapping.name} --image {quote(case.failure.image)}"
    return case.cause_with_message(why, check, f"{_add(mapping)}  # sets a new password")


def _no_credential(case: _Case, image: ImageReference) -> Cause:  # noqa: PLR0911 - a list of cases
    explanation, kind = case.explanation, case.message.kind
    unknown = [secret.name for secret in explanation.secrets if secret.info.unknown]
    if unknown:
        why = f"whether its pull secret {unknown[0]} has a credential for it is unknown: you may not read that Secret"
        return case.cause_with_message(why, case.explain)
    if explanation.matches:
        return _withheld(case, explanation.matches[0])
    near = next((miss for miss in explanation.near_misses if not miss.near.elsewhere), None)
    if near:
        write = f"; write {near.near.write}" if near.near.write else ""
        why = f"nothing matches it, but the {near.owner}, {near.near.text}, nearly does: {near.near.why}{write}"
        edit = [f"kubectl edit registrymapping {near.mapping}"] if near.mapping and near.near.write else []
        return case.cause_with_message(why, *edit, case.explain)
    if UNREAD_MAPPINGS in case.state.unread:
        return case.cause_with_message(
            "whether a mapping matches it is unknown: you may not read RegistryMappings", case.describe
        )
    if kind is PullFailure.NEVER:
        return case.cause(f"{_never(case)}. No mapping matches it", case.describe)
    if kind is PullFailure.UNKNOWN:
        message = (
            "the kubelet's message names no known cause" if case.failure.message else "the kubelet gives no reason"
        )
        why = f"{message}. No mapping matches the image, so it is pulled without a credential"
        return case.cause_with_message(why, case.describe)
    why = "no mapping matches it, so it is pulled without a credential"
    if kind is PullFailure.HIDDEN:
        why = "it does not exist, or it needs a credential and no mapping matches it; check its name first"
    registry = "/".join(image.name.split("/")[:2])
    return case.cause_with_message(why, f"sutler registry add {quote(registry)} --username NAME --password-stdin")


def _never(case: _Case) -> str:
    return failure_text(case.message, case.explanation.image, case.failing.node)


def _withheld(case: _Case, match: MappingMatch) -> Cause:
    mapping, pod, view = match.mapping, case.failing.pod, case.state.view
    why = f"mapping {mapping.name} matches, but {match.withheld or 'no key of its Secret matches'}"
    match match.reason:
        case WithholdReason.UNSELECTED:
            obj = case.state.mapping(mapping.name)
            fix = fixes.fix_unselected_namespace(obj, pod.namespace, view.labels(pod.namespace))
            return case.cause_with_message(why, *fix, case.recreate)
        case WithholdReason.OBSERVED:
            return case.cause_with_message(why, fixes.fix_observe_mode(mapping.name), case.recreate)
        case WithholdReason.RESTRICTED:
            listed = view.account(pod.namespace, pod.account).pull_secrets
            fix_account = fixes.fix_service_account(pod.account, listed, mapping.secret, pod.namespace)
            return case.cause_with_message(why, fix_account, case.recreate)
    if not pod.skip_reason and view.labels(pod.namespace).get(well_known.EXCLUDE) == "true":
        return case.cause_with_message(why, fixes.fix_excluded_namespace(pod.namespace), case.recreate)
    return case.cause_with_message(why, case.explain)


def _add(mapping: Mapping) -> str:
    return f"sutler registry add {quote(mapping.registries[0])} --name {mapping.name} --username NAME --password-stdin"


def _last_steps(text: str) -> str:
    """The end of a kubelet's message: it lists the steps of a pull, each after a colon, and the failure last."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST_MESSAGE:
        return text
    end = text[-_LONGEST_MESSAGE:]
    return f"…{end.partition(': ')[2] or end}"
