"""What a mapping's status says. Pure: from the world and the obstacles met, to the object's `status`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.secrets.planning.actions import is_current
from provisioner.secrets.planning.content import SourceProblem, UsableContent
from provisioner.secrets.planning.state import DeclaredMapping, SecretsState
from sutler.registry import mapping as registry
from sutler.registry.mapping import Mode
from sutler.registry.missing_credentials import join_shortened
from sutler.text import shortened
from sutler.typedefs import Json

LISTED = 500
"""At most so many namespaces are listed in a status."""

LONGEST_CAUSE = 4000
"""Characters of what is wrong with a mapping or a source: there may be hundreds of registries and any number of keys,
and a status whose message exceeds 32768 is refused."""


@dataclass(frozen=True)
class CopyObstacle:
    """Why a copy could not be made."""

    message: str
    foreign: bool = False
    """A Secret that is not Sutler's has its name."""
    since: float = field(default_factory=time.monotonic, compare=False)


@dataclass
class CopySurvey:
    """How far the copies of one mapping are."""

    selected: int = 0
    synced: int = 0
    conflicts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    """Namespaces without the Secret, or with one that is another's or goes."""

    @property
    def pending(self) -> int:
        return self.selected - self.synced - len(self.conflicts) - len(self.failures)


@dataclass(frozen=True)
class ReadyVerdict:
    """A condition in the making."""

    holds: bool
    reason: str
    message: str


def survey_copies(world: SecretsState, mapping: registry.Mapping, obstacles: Mapping[str, CopyObstacle]) -> CopySurvey:
    usable = world.content(mapping) if mapping.copy_from else None
    found = CopySurvey()
    for namespace in world.selected(mapping):
        target = f"{namespace}/{mapping.secret}"
        found.selected += 1
        copy = world.copies.get(target)
        if namespace == world.own_namespace and mapping.secret == mapping.copy_from:
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
            _survey_missing(found, world, mapping, target, obstacle)
            if copy is None or copy.foreign or copy.mapping != mapping.name or copy.finalizers is not None:
                found.lacking.append(namespace)
    return found


def _survey_missing(
    found: CopySurvey, world: SecretsState, mapping: registry.Mapping, target: str, obstacle: CopyObstacle | None
) -> None:
    if obstacle and obstacle.foreign:
        found.conflicts.append(f"{target} {obstacle.message}")
    elif rival := _rival(world, mapping, target):
        found.conflicts.append(f"{target} {rival}")
    elif obstacle:
        found.failures.append(f"{target}: {obstacle.message}")


def _rival(world: SecretsState, mapping: registry.Mapping, target: str) -> str:
    """Whose the place is, if not this mapping's."""
    if world.is_source(target):
        return "is a source that mappings copy from"
    copy = world.copies.get(target)
    if len(world.with_secret(mapping.secret)) == 1 and (copy is None or copy.mapping == mapping.name):
        return ""  # the usual case, and there may be thousands of them on their way
    owner = world.owner(target)
    if owner is not None and owner.name != mapping.name:
        return f"belongs to mapping {owner.name}"
    if owner is None and copy is not None:
        return f"belongs to mapping {copy.mapping}, which leaves its copies as they are for now"
    return ""


def ready_verdict(world: SecretsState, declared: DeclaredMapping, found: CopySurvey) -> ReadyVerdict:  # noqa: PLR0911 - a list of cases
    """The first thing that is wrong, the most fundamental first."""
    mapping = declared.mapping
    if mapping is None:
        return ReadyVerdict(
            False, "Invalid", f"{shortened(declared.problem, LONGEST_CAUSE)}. Copies that exist stay as they are."
        )
    if mapping.copy_from is None:
        return ReadyVerdict(True, "ReferenceOnly", f"Pods refer to Secret {mapping.secret}; nothing is copied.")
    usable = world.content(mapping)
    if isinstance(usable, SourceProblem):
        stay = f" The {found.selected} selected namespaces keep the copies that they have." if found.selected else ""
        return ReadyVerdict(False, usable.reason, f"{shortened(usable.message, LONGEST_CAUSE)}.{stay}")
    unused = shortened("; ".join(usable.notes), LONGEST_CAUSE)
    notes = f" Not used by the kubelet: {unused}." if unused else ""
    if usable.doubts:
        notes += f" Doubtful: {shortened('; '.join(usable.doubts), LONGEST_CAUSE)}."
    if mapping.mode is Mode.OBSERVE:
        return ReadyVerdict(
            True, "Observing", f"{found.selected} namespaces would get a copy; nothing is changed.{notes}"
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
            f"{found.synced} of {found.selected} namespaces have their copy, the others follow.{notes}",
        )
    have = (
        f"All {found.selected} selected namespaces have their copy." if found.selected else "It selects no namespace."
    )
    return ReadyVerdict(True, "Synced", f"{have}{notes}")


def render_status(declared: DeclaredMapping, found: CopySurvey, verdict: ReadyVerdict, now: str) -> Json:
    """The whole `status`. Times change only when a condition does."""
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
        if not verdict.holds:
            status["namespaces"]["lacking"] = sorted(found.lacking)[:LISTED]
        if declared.mapping.copy_from is None:
            del status["namespaces"]["synced"]
    return status


def ready_reason(status: Json) -> str:
    """The reason of the Ready condition in a stored status, for telling a transition from a repetition."""
    return next((c.get("reason", "") for c in status.get("conditions") or [] if c.get("type") == "Ready"), "")


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
        f"{join_shortened(sorted(found.conflicts), '; ')}. Secrets that are not this mapping's are never touched: remove or "
        f"rename them, or give the mapping another spec.pullSecret.name than {mapping.secret}."
    )


def _failures(found: CopySurvey) -> str:
    return f"{join_shortened(sorted(found.failures), '; ')}. It will be tried again."
