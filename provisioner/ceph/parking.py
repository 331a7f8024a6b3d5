"""Parks images that snapshots or clones need, and removes them after their last dependant, as blocking calls."""

from dataclasses import dataclass, replace
from typing import Any

from provisioner.ceph import dependents, directory, image_lookup, removal
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import ImageTaken, InUse, image_label, pool_path
from provisioner.ceph.image_header import CloneParent
from provisioner.ceph.images import Fence, write_owned_metadata
from provisioner.ceph.model import ImageQuery
from sutler.volumes.parking import ParkedImage, parked_metadata, parse_parked


@dataclass(frozen=True, slots=True)
class ParkedDependents:
    """What a parked image is, and what still needs it."""

    name: str
    parked: ParkedImage
    snapshots: tuple[str, ...]
    children: tuple[str, ...]
    parent: CloneParent | None

    @property
    def is_free(self) -> bool:
        return not self.snapshots and not self.children


def park(ioctx: Any, sought: ImageQuery, trash_delay: int | None, fence: Fence) -> bool:
    """Parks the image. Returns False if nothing depends on it: then it is to be removed.

    Raises InUse with everything other than snapshots and clones that prevents its removal, such as watchers.
    """
    found = image_lookup.find(ioctx, sought)
    if found is None:
        return False
    target = image_label(ioctx, found.name)
    needed = dependents.read(ioctx, found.id, target)
    if not needed.snapshots and not needed.children:
        return False
    alone = replace(needed, snapshots=(), protected=(), children=())
    if blockers := dependents.removal_blockers(f"{pool_path(ioctx)}/{found.name}", alone):
        raise InUse(f"{target} is kept: {'. Also, '.join(blockers)}")
    fence()
    write_owned_metadata(ioctx, found.id, parked_metadata(found.id, sought.owner, trash_delay), target)
    return True


def find_parked(ioctx: Any, identifier: str) -> ParkedDependents | None:
    """The image with this id if it is parked; None if it is not, is in the trash or does not exist."""
    header = directory.find_header(ioctx, identifier)
    parked = parse_parked(header.metadata, ioctx.get_pool_id(), identifier) if header is not None else None
    name = directory.find_name(ioctx, identifier) if parked is not None else None
    if header is None or parked is None or name is None:
        return None
    needed = dependents.read(ioctx, identifier, image_label(ioctx, name))
    snapshots = (*needed.snapshots, *needed.group_snapshots, *needed.unknown_snapshots)
    return ParkedDependents(name, parked, snapshots, needed.children, header.parent)


def remove_parked(connection: Connection, ioctx: Any, identifier: str, kubernetes: str, fence: Fence) -> str | None:
    """Removes a parked image that nothing depends on any more, by its own policy.

    Returns its id if it is in the trash now and has to be purged there. Raises InUse or ImageTaken if it must be kept.
    """
    found = find_parked(ioctx, identifier)
    if found is None:
        raise ImageTaken(f"image {pool_path(ioctx)} id {identifier} is not parked any more")
    query = ImageQuery(found.name, found.parked.owner, kubernetes, identifier)
    if found.parked.trash_delay is None:
        return removal.remove(connection, ioctx, query, fence)
    removal.move_to_trash(ioctx, query, fence, delay=found.parked.trash_delay)
    return None
