"""What to do with one copy. Pure: looks at the world, changes nothing."""

from dataclasses import dataclass

from provisioner.secrets.planning.content import SourceProblem
from provisioner.secrets.planning.copies import CopyContent, SecretCopy
from provisioner.secrets.planning.state import SecretsState


@dataclass(frozen=True)
class NoAction:
    """It is as it should be, or must be left alone."""


@dataclass(frozen=True)
class CreateCopy:
    mapping: str
    content: CopyContent


@dataclass(frozen=True)
class PatchCopy:
    """Mend it in place: at no moment is the namespace without it."""

    mapping: str
    content: CopyContent
    copy: SecretCopy


@dataclass(frozen=True)
class RecreateCopy:
    """Delete it and make it anew: a Secret's type can't be changed, nor anything of an immutable one."""

    mapping: str
    content: CopyContent
    copy: SecretCopy


@dataclass(frozen=True)
class DeleteCopy:
    copy: SecretCopy


@dataclass(frozen=True)
class Blocked:
    """A Secret that is not Sutler's has the name. It stays as it is."""

    mapping: str


@dataclass(frozen=True)
class Wait:
    """It is being deleted and waits for others: no copy can be made before it is gone."""

    finalizers: tuple[str, ...]


Action = NoAction | CreateCopy | PatchCopy | RecreateCopy | DeleteCopy | Blocked | Wait


def decide(world: SecretsState, target: str) -> Action:  # noqa: PLR0911 - a list of cases
    """The one step that brings `namespace/name` to what mappings and sources say."""
    namespace, _ = target.split("/")
    if not world.open(namespace) or world.is_source(target):
        return NoAction()
    copy = world.copies.get(target)
    owner = world.owner(target)
    if owner is None:
        going = copy is not None and copy.finalizers is not None
        return DeleteCopy(copy) if copy and not going and _unwanted(world, copy) else NoAction()
    if copy and copy.foreign:
        return Blocked(owner.name)
    if copy and copy.finalizers is not None:
        return Wait(copy.finalizers)
    usable = world.content(owner)
    if isinstance(usable, SourceProblem):
        # Better the last good credentials than none: whoever wants them gone deletes the mapping.
        return NoAction()
    content = usable.content
    if copy is None:
        return CreateCopy(owner.name, content)
    if is_current(copy, owner.name, content):
        return NoAction()
    if copy.immutable or copy.type != content.type:
        return RecreateCopy(owner.name, content, copy)
    return PatchCopy(owner.name, content, copy)


def is_current(copy: SecretCopy, mapping: str, content: CopyContent) -> bool:
    """Whether a copy is as it should be, and stays."""
    return (copy.mapping, copy.type, copy.fingerprint, copy.placed, copy.finalizers) == (
        mapping,
        content.type,
        content.fingerprint,
        True,
        None,
    )


def _unwanted(world: SecretsState, copy: SecretCopy) -> bool:
    if copy.foreign:
        return False
    declared = world.mappings.get(copy.mapping)
    return declared is None or not declared.hands_off
