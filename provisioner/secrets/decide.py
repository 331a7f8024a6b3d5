"""What to do with one copy. Pure: looks at the world, changes nothing."""

from dataclasses import dataclass

from provisioner.secrets.content import Problem
from provisioner.secrets.copies import Content, Copy
from provisioner.secrets.world import World


@dataclass(frozen=True)
class Nothing:
    """It is as it should be, or must be left alone."""


@dataclass(frozen=True)
class Create:
    mapping: str
    content: Content


@dataclass(frozen=True)
class Patch:
    """Mend it in place: at no moment is the namespace without it."""

    mapping: str
    content: Content
    copy: Copy


@dataclass(frozen=True)
class Recreate:
    """Delete it and make it anew: a Secret's type can't be changed, nor anything of an immutable one."""

    mapping: str
    content: Content
    copy: Copy


@dataclass(frozen=True)
class Delete:
    copy: Copy


@dataclass(frozen=True)
class Blocked:
    """A Secret that is not Sutler's has the name. It stays as it is."""

    mapping: str


@dataclass(frozen=True)
class Wait:
    """It is being deleted and waits for others: no copy can be made before it is gone."""

    finalizers: tuple[str, ...]


Action = Nothing | Create | Patch | Recreate | Delete | Blocked | Wait


def decide(world: World, target: str) -> Action:  # noqa: PLR0911 - a list of cases
    """The one step that brings `namespace/name` to what mappings and sources say."""
    namespace, _ = target.split("/")
    if not world.open(namespace) or world.is_source(target):
        return Nothing()
    copy = world.copies.get(target)
    owner = world.owner(target)
    if owner is None:
        going = copy is not None and copy.finalizers is not None
        return Delete(copy) if copy and not going and _unwanted(world, copy) else Nothing()
    if copy and copy.foreign:
        return Blocked(owner.name)
    if copy and copy.finalizers is not None:
        return Wait(copy.finalizers)
    usable = world.content(owner)
    if isinstance(usable, Problem):
        # Better the last good credentials than none: whoever wants them gone deletes the mapping.
        return Nothing()
    content = usable.content
    if copy is None:
        return Create(owner.name, content)
    if right(copy, owner.name, content):
        return Nothing()
    if copy.immutable or copy.type != content.type:
        return Recreate(owner.name, content, copy)
    return Patch(owner.name, content, copy)


def right(copy: Copy, mapping: str, content: Content) -> bool:
    """Whether a copy is as it should be, and stays."""
    return (copy.mapping, copy.type, copy.fingerprint, copy.placed, copy.finalizers) == (
        mapping,
        content.type,
        content.fingerprint,
        True,
        None,
    )


def _unwanted(world: World, copy: Copy) -> bool:
    if copy.foreign:
        return False
    declared = world.mappings.get(copy.mapping)
    return declared is None or not declared.hands_off
