"""The status of a mapping, from the state and the obstacles of its copies. Pure: no I/O."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.secrets.planning.actions import is_current
from provisioner.secrets.planning.content import SourceProblem, UsableContent
from provisioner.secrets.planning.state import DeclaredMapping, SecretsState
from sutler.registry import mapping as registry
from sutler.registry.mapping import CopyPolicy, Mode
from sutler.registry.missing_credentials import join_shortened
from sutler.text import shortened
from sutler.typedefs import Json

LISTED = 500
"""Namespaces that a status lists at most."""

LONGEST_CAUSE = 4000
"""Characters of the text about a mapping or a source: these may have hundreds of registries and any number of keys, and
the API server rejects a status whose message is longer than 32768."""


PODS_UNSEEN = (
    "Copies are made where a Pod needs them, and Pods have not been seen yet. If that lasts, the controller may not "
    "list and watch pods: add the component copies-on-demand."
)


@dataclass(frozen=True)
class CopyObstacle:
    """Why a copy could not be made."""

    message: str
    foreign: bool = False
    """Whether a Secret that is not Sutler's has the name."""
    since: float = field(default_factory=time.monotonic, compare=False)
    """Seconds of the monotonic clock."""


@dataclass
class CopySurvey:
    """The copies of one mapping, counted by their state."""

    selected: int = 0
    needed: int = 0
    """Selected namespaces that are to have a copy now; with copies on demand those where a Pod asks for it, or has."""
    synced: int = 0
    conflicts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    """Namespaces without the Secret, or with one that is not the mapping's or is being deleted."""

    @property
    def pending(self) -> int:
        return self.needed - self.synced - len(self.conflicts) - len(self.failures)


@dataclass(frozen=True)
class ReadyVerdict:
    """A condition without its times."""

    holds: bool
    reason: str
    message: str


def survey_copies(state: SecretsState, mapping: registry.Mapping, obstacles: Mapping[str, CopyObstacle]) -> CopySurvey:
    usable = state.content(mapping) if mapping.copy_from else None
    found = CopySurvey()
    for namespace in state.selected(mapping):
        target = f"{namespace}/{mapping.secret}"
        found.selected += 1
        copy = state.copies.get(target)
        if copy is None and mapping.copy_from and not state.is_needed(mapping, target):
            continue
        found.needed += 1
        if namespace == state.own_namespace and mapping.secret == mapping.copy_from:
            found.synced += 1  # the source itself
        elif (
            isinstance(usable, UsableContent)
            and copy
            and not copy.foreign
            and is_current(copy, mapping.name, usable.content)
        ):
            found.synced += 1
        elif mapping.copy_from is None or mapping.mode is Mode.OBSERVE:
            continue
        else:
            obstacle = obstacles.get(target)
            _survey_missing(found, state, mapping, target, obstacle)
            if copy is None or copy.foreign or copy.mapping != mapping.name or copy.finalizers is not None:
                found.lacking.append(namespace)
    return found


def _survey_missing(
    found: CopySurvey, state: SecretsState, mapping: registry.Mapping, target: str, obstacle: CopyObstacle | None
) -> None:
    if obstacle and obstacle.foreign:
        found.conflicts.append(f"{target} {obstacle.message}")
    elif rival := _rival(state, mapping, target):
        found.conflicts.append(f"{target} {rival}")
    elif obstacle:
        found.failures.append(f"{target}: {obstacle.message}")


def _rival(state: SecretsState, mapping: registry.Mapping, target: str) -> str:
    """Which other object has the place of a copy; "" for none."""
    if state.is_source(target):
        return "is a source Secret, from which mappings copy"
    copy = state.copies.get(target)
    if len(state.with_secret(mapping.secret)) == 1 and (copy is None or copy.mapping == mapping.name):
        return ""  # the usual case, of which there may be thousands
    owner = state.owner(target)
    if owner is not None and owner.name != mapping.name:
        return f"belongs to mapping {owner.name}"
    if owner is None and copy is not None:
        return f"belongs to mapping {copy.mapping}, which does not change its copies at present"
    return ""


def ready_verdict(state: SecretsState, declared: DeclaredMapping, found: CopySurvey) -> ReadyVerdict:  # noqa: PLR0911 - a list of cases
    """The condition Ready: the first problem, the most fundamental one first."""
    mapping = declared.mapping
    if mapping is None:
        return ReadyVerdict(
            False, "Invalid", f"{shortened(declared.problem, LONGEST_CAUSE)}. Existing copies stay unchanged."
        )
    if mapping.copy_from is None:
        return ReadyVerdict(True, "ReferenceOnly", f"Pods refer to Secret {mapping.secret}; Sutler copies nothing.")
    usable = state.content(mapping)
    if isinstance(usable, SourceProblem):
        stay = f" Existing copies in the {found.selected} selected namespaces stay unchanged." if found.selected else ""
        return ReadyVerdict(False, usable.reason, f"{shortened(usable.message, LONGEST_CAUSE)}.{stay}")
    unused = shortened("; ".join(usable.notes), LONGEST_CAUSE)
    notes = f" Not used by the kubelet: {unused}." if unused else ""
    if usable.doubts:
        notes += f" Doubtful: {shortened('; '.join(usable.doubts), LONGEST_CAUSE)}."
    if mapping.mode is Mode.OBSERVE:
        return ReadyVerdict(
            True, "Observing", f"{found.selected} namespaces would get a copy; Sutler changes nothing.{notes}"
        )
    if found.conflicts:
        also = f" {_failures(found)}" if found.failures else ""
        return ReadyVerdict(False, "Conflict", f"{_conflicts(mapping, found)}{also}{notes}")
    if found.failures:
        return ReadyVerdict(False, "CopyFailed", f"{_failures(found)}{notes}")
    if found.pending:
        return ReadyVerdict(
            False,
            "Copying",
            f"{found.synced} of {found.needed} namespaces have their copy; Sutler is creating the others.{notes}",
        )
    return _synced(state, mapping, found, notes)


def _synced(state: SecretsState, mapping: registry.Mapping, found: CopySurvey, notes: str) -> ReadyVerdict:
    if not found.selected:
        return ReadyVerdict(True, "Synced", f"The mapping selects no namespace.{notes}")
    if mapping.copies is CopyPolicy.EAGER:
        return ReadyVerdict(True, "Synced", f"All {found.selected} selected namespaces have their copy.{notes}")
    if not state.demand.is_known:
        return ReadyVerdict(False, "PodsUnseen", f"{PODS_UNSEEN} Sutler keeps existing copies current.{notes}")
    return ReadyVerdict(
        True, "Synced", f"{found.needed} of {found.selected} selected namespaces need a copy, and have it.{notes}"
    )


def render_status(declared: DeclaredMapping, found: CopySurvey, verdict: ReadyVerdict, now: str) -> Json:
    """Render the whole `status`. Times change only when a condition does."""
    conditions = [_condition(declared, "Ready", verdict, now)]
    if found.conflicts and declared.mapping:
        conditions.append(
            _condition(
                declared, "Conflict", ReadyVerdict(True, "ForeignSecret", _conflicts(declared.mapping, found)), now
            )
        )
    status: Json = {"observedGeneration": declared.generation, "conditions": conditions}
    if declared.mapping:
        status["namespaces"] = {"selected": found.selected, "synced": found.synced}
        if declared.mapping.copies is CopyPolicy.ON_DEMAND:
            status["namespaces"]["needed"] = found.needed
        if not verdict.holds:
            status["namespaces"]["lacking"] = sorted(found.lacking)[:LISTED]
        if declared.mapping.copy_from is None:
            del status["namespaces"]["synced"]
    return status


def _condition(declared: DeclaredMapping, kind: str, verdict: ReadyVerdict, now: str) -> Json:
    status = "True" if verdict.holds else "False"
    before: Json = next((c for c in declared.status.get("conditions") or [] if c.get("type") == kind), {})
    return {
        "type": kind,
        "status": status,
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": declared.generation,
        "lastTransitionTime": before.get("lastTransitionTime", now) if before.get("status") == status else now,
    }


def _conflicts(mapping: registry.Mapping, found: CopySurvey) -> str:
    return (
        f"{join_shortened(sorted(found.conflicts), '; ')}. Sutler never changes Secrets that are not this mapping's: "
        f"remove or rename them, or change spec.pullSecret.name of the mapping from {mapping.secret} to another name."
    )


def _failures(found: CopySurvey) -> str:
    return f"{join_shortened(sorted(found.failures), '; ')}. Sutler will retry."
