"""Finds the image of a volume, as blocking calls: by its id, and by its names only with further proof.

A volume that version 0.1.0 provisioned records no image id. Its image is the one whose id follows from the volume's
names, or the only one in its pool that names the volume's owner. If two images name the owner, nothing proves which
one is the copy, and neither is touched.
"""

import contextlib
from typing import Any

from provisioner.ceph import directory, trash_entry
from provisioner.ceph.errors import ImageMissing, ImageTaken, InUse, first_names, image_label
from provisioner.ceph.images import describe
from provisioner.ceph.model import ImageQuery, RbdImage
from sutler import well_known
from sutler.volumes.identity import has_own_ids, image_id

_PAGE_SIZE = 1000


def find(ioctx: Any, sought: ImageQuery) -> RbdImage | None:
    """The image, also after it was renamed; None if it does not exist or is in the trash.

    Raises ImageTaken if the image found belongs to another volume or cannot be distinguished from a copy, and InUse
    while it is being migrated.
    """
    # An unknown id is the one that `fast_create` gives, unless librbd has created the image.
    likely = sought.id or image_id(sought.kubernetes, sought.name)
    found = _find_by_id(ioctx, likely)
    if found is not None:
        _require_owner(ioctx, found, sought)
        return found
    if _is_in_trash(ioctx, likely):
        return None
    found = _find_by_name(ioctx, sought.name)
    if found is not None:
        _require_owner(ioctx, found, sought)
        itself = has_own_ids(found.metadata, ioctx.get_pool_id(), found.id)
        if not itself:
            _require_only_claimant(ioctx, found.name, sought, copies=itself is False)
        return found
    return None if sought.id else _find_renamed(ioctx, sought)


def _find_by_id(ioctx: Any, identifier: str) -> RbdImage | None:
    name = directory.find_name(ioctx, identifier)
    found = _find_by_name(ioctx, name) if name is not None else None
    # The directory may be stale: a removal was interrupted, and the name was used again.
    return found if found is not None and found.id == identifier else None


def _find_by_name(ioctx: Any, name: str) -> RbdImage | None:
    try:
        return describe(ioctx, name)
    except ImageMissing:
        return None


def _is_in_trash(ioctx: Any, identifier: str) -> bool:
    entry = trash_entry.find(ioctx, identifier)
    if entry is not None and entry.source == "MIGRATION":
        # The source of a migration that is not committed.
        raise InUse(
            f"{image_label(ioctx, entry.name)} is being migrated: finish the migration first (rbd migration commit, "
            "or rbd migration abort)"
        )
    return entry is not None


def _require_owner(ioctx: Any, found: RbdImage, sought: ImageQuery) -> None:
    owner, kubernetes = found.metadata.get(well_known.OWNER), found.metadata.get(well_known.KUBERNETES)
    if owner != sought.owner:
        actual = f"{well_known.OWNER}={owner}" if owner else f"no {well_known.OWNER}"
        raise ImageTaken(
            f"{image_label(ioctx, found.name)} is kept: its metadata has {actual} instead of {sought.owner}, so the "
            "image does not belong to this volume"
        )
    if kubernetes not in {None, sought.kubernetes}:
        raise ImageTaken(
            f"{image_label(ioctx, found.name)} is kept: it belongs to Kubernetes cluster {kubernetes}, and this is "
            f"{sought.kubernetes}; if that cluster no longer exists, set {well_known.KUBERNETES} in the image's "
            "metadata to this cluster's (rbd image-meta set)"
        )


def _require_only_claimant(ioctx: Any, name: str, sought: ImageQuery, *, copies: bool) -> None:
    """`copies`: images that name another image's ids count as well; so they do if this one is such a copy."""
    others = tuple(
        other for other, itself in _claimants_of(ioctx, sought) if other != name and (copies or itself is not False)
    )
    if others:
        raise ImageTaken(
            f"{image_label(ioctx, name)} is kept: {first_names(others)} in the same pool and namespace names the same "
            f"owner, and nothing proves which one is a copy: remove the metadata {well_known.OWNER} from the copy (rbd "
            "image-meta remove)"
        )


def _find_renamed(ioctx: Any, sought: ImageQuery) -> RbdImage | None:
    found = {name: itself for name, itself in _claimants_of(ioctx, sought) if itself is not False}
    proven = [name for name, itself in found.items() if itself]
    if len(proven) == 1:
        return _find_by_name(ioctx, proven[0])
    if found:
        raise ImageTaken(
            f"{image_label(ioctx, sought.name)} does not exist, and {first_names(tuple(found))} in the same pool and "
            "namespace names the same owner. If that is the renamed image, rename it back (rbd rename); if it is a "
            f"copy, remove the metadata {well_known.OWNER} from it (rbd image-meta remove)"
        )
    return None


def _claimants_of(ioctx: Any, sought: ImageQuery) -> list[tuple[str, bool | None]]:
    return list_claimants(ioctx, sought.kubernetes).get(sought.owner, [])


def list_claimants(ioctx: Any, kubernetes: str) -> dict[str, list[tuple[str, bool | None]]]:
    """Owner → (name, whether the image has the ids that its metadata names) of all images in the pool.

    The second value is None for images whose metadata names no ids. Reads the headers of all images of the pool.
    """
    after, pool = "", ioctx.get_pool_id()
    found: dict[str, list[tuple[str, bool | None]]] = {}
    while page := directory.list_page(ioctx, "", after, _PAGE_SIZE, count_used=False):
        for entry in page:
            metadata = entry.header.metadata if entry.header is not None else {}
            if well_known.OWNER in metadata and metadata.get(well_known.KUBERNETES) in {None, kubernetes}:
                claimant = (entry.name, has_own_ids(metadata, pool, entry.id))
                found.setdefault(metadata[well_known.OWNER], []).append(claimant)
        after = page[-1].name
    return found


def has_image(ioctx: Any, sought: ImageQuery) -> bool:
    """Whether the image is in this pool. Two reads, without the directory, which not every pool can have."""
    with contextlib.suppress(ImageMissing):
        return directory.has_header(ioctx, image_id(sought.kubernetes, sought.name)) or (
            describe(ioctx, sought.name).metadata.get(well_known.OWNER) == sought.owner
        )
    return False
