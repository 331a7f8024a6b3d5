"""Decides what to do with one copy. Pure: no I/O."""

from dataclasses import dataclass

from provisioner.secrets.planning.content import SourceProblem, UsableContent
from provisioner.secrets.planning.copies import CopyContent, SecretCopy
from provisioner.secrets.planning.state import SecretsState
from sutler.registry import mapping as registry


@dataclass(frozen=True)
class NoAction:
    """The copy is current, or must not be changed."""


@dataclass(frozen=True)
class CreateCopy:
    mapping: str
    content: CopyContent


@dataclass(frozen=True)
class PatchCopy:
    """Correct the copy in place: the namespace is never without it."""

    mapping: str
    content: CopyContent
    copy: SecretCopy


@dataclass(frozen=True)
class RecreateCopy:
    """Delete and create the copy: a Secret's type can't be changed, nor anything of an immutable Secret."""

    mapping: str
    content: CopyContent
    copy: SecretCopy


@dataclass(frozen=True)
class DeleteCopy:
    copy: SecretCopy


@dataclass(frozen=True)
class Blocked:
    """A Secret with the name exists and is not Sutler's. It stays unchanged."""

    mapping: str


@dataclass(frozen=True)
class Wait:
    """The Secret is being deleted and waits for finalizers: no copy can be created before it is gone."""

    finalizers: tuple[str, ...]


Action = NoAction | CreateCopy | PatchCopy | RecreateCopy | DeleteCopy | Blocked | Wait


def decide(state: SecretsState, target: str) -> Action:  # noqa: PLR0911 - a list of cases
    """The next step that brings `namespace/name` to what the mappings and their sources declare."""
    namespace, _ = target.split("/")
    if not state.is_open(namespace) or state.is_source(target):
        return NoAction()
    copy = state.copies.get(target)
    owner = state.owner(target)
    if owner is None:
        deleting = copy is not None and copy.finalizers is not None
        return DeleteCopy(copy) if copy and not deleting and _is_unwanted(state, copy) else NoAction()
    if copy and copy.foreign:
        return Blocked(owner.name)
    if copy and copy.finalizers is not None:
        return Wait(copy.finalizers)
    usable = state.content(owner)
    if isinstance(usable, SourceProblem):
        # The last good credentials are better than none. To remove them, delete the mapping.
        return NoAction()
    content = usable.content
    if copy is None:
        return CreateCopy(owner.name, content) if state.is_needed(owner, target) else NoAction()
    if is_current(copy, owner.name, content):
        return NoAction()
    if copy.immutable or copy.type != content.type:
        return RecreateCopy(owner.name, content, copy)
    return PatchCopy(owner.name, content, copy)


def collectable(state: SecretsState, owner: registry.Mapping, target: str) -> SecretCopy | None:
    """The copy, if Sutler may delete it while nothing needs it, because it can create it again at any time."""
    if owner.copies is not registry.CopyPolicy.ON_DEMAND or state.is_source(target):
        return None
    copy = state.copies.get(target)
    own = copy is not None and not copy.foreign and copy.mapping == owner.name and copy.finalizers is None
    return copy if own and isinstance(state.content(owner), UsableContent) else None


def is_current(copy: SecretCopy, mapping: str, content: CopyContent) -> bool:
    """Whether a copy is as declared and is not being deleted."""
    return (copy.mapping, copy.type, copy.fingerprint, copy.metadata, copy.intact, copy.placed, copy.finalizers) == (
        mapping,
        content.type,
        content.fingerprint,
        content.metadata,
        True,
        True,
        None,
    )


def _is_unwanted(state: SecretsState, copy: SecretCopy) -> bool:
    if copy.foreign:
        return False
    declared = state.mappings.get(copy.mapping)
    return declared is None or not declared.keeps_copies
