"""Which image a volume means, as blocking calls: by its id, and by its names only with further proof.

A volume that was made by version 0.1.0 knows no id. Its image is the one whose id follows from the volume's names, or
the only one in its pool that names the volume's owner. Where two do, nothing proves which one is the copy: both stay.
"""

import contextlib
import struct
from typing import Any

from provisioner.ceph import directory
from provisioner.ceph.errors import ImageMissing, ImageTaken, InUse, first_names, image_label
from provisioner.ceph.images import describe
from provisioner.ceph.model import ImageQuery, RbdImage
from sutler.volumes import well_known
from sutler.volumes.identity import has_own_ids, image_id

_MIGRATION = 2
"""Of what the trash says about where an entry is from: the source of a migration that is not committed."""
_PAGE_SIZE = 1000


def find(ioctx: Any, sought: ImageQuery) -> RbdImage | None:
    """The image, under whatever name; None if it is gone, or in the trash already.

    Raises ImageTaken if what is there is not the volume's, or can't be told from a copy.
    """
    # Where the id is not known, it is the one that our own create gives, unless librbd has made the image.
    likely = sought.id or image_id(sought.kubernetes, sought.name)
    found = _find_by_id(ioctx, likely)
    if found is not None:
        _require_owner(ioctx, found, sought)
        return found
    if _is_thrown(ioctx, likely):
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
    # The directory may lag behind: a removal stopped half-way, and the name was given again.
    return found if found is not None and found.id == identifier else None


def _find_by_name(ioctx: Any, name: str) -> RbdImage | None:
    try:
        return describe(ioctx, name)
    except ImageMissing:
        return None


def _is_thrown(ioctx: Any, identifier: str) -> bool:
    key = f"id_{identifier}"
    for found, value in directory.read_omap(ioctx, "rbd_trash", "", key, 1):
        if found == key:
            if value[6] == _MIGRATION:
                (length,) = struct.unpack_from("<I", value, 7)
                name = value[11 : 11 + length].decode(errors="replace")
                raise InUse(
                    f"{image_label(ioctx, name)} is being migrated: finish that first (rbd migration commit, or abort)"
                )
            return True
    return False


def _require_owner(ioctx: Any, found: RbdImage, sought: ImageQuery) -> None:
    owner, kubernetes = found.metadata.get(well_known.OWNER), found.metadata.get(well_known.KUBERNETES)
    if owner != sought.owner:
        says = f"{well_known.OWNER}={owner}" if owner else f"no {well_known.OWNER}"
        raise ImageTaken(
            f"{image_label(ioctx, found.name)} is kept: its metadata has {says} instead of {sought.owner}, so it is not this "
            "volume's image"
        )
    if kubernetes not in {None, sought.kubernetes}:
        raise ImageTaken(
            f"{image_label(ioctx, found.name)} is kept: it belongs to Kubernetes cluster {kubernetes}, and this is "
            f"{sought.kubernetes}; if that one is gone, set {well_known.KUBERNETES} in the image's metadata to "
            "this one's (rbd image-meta set)"
        )


def _require_only_claimant(ioctx: Any, name: str, sought: ImageQuery, *, copies: bool) -> None:
    """`copies`: whether those count that say themselves that they are copies; they do if this one says so, too."""
    others = tuple(
        other for other, itself in _claimants_of(ioctx, sought) if other != name and (copies or itself is not False)
    )
    if others:
        raise ImageTaken(
            f"{image_label(ioctx, name)} is kept: {first_names(others)} in the same place names the same owner, and nothing proves "
            f"which one is a copy: take the metadata {well_known.OWNER} off the copy (rbd image-meta remove)"
        )


def _find_renamed(ioctx: Any, sought: ImageQuery) -> RbdImage | None:
    found = {name: itself for name, itself in _claimants_of(ioctx, sought) if itself is not False}
    proven = [name for name, itself in found.items() if itself]
    if len(proven) == 1:
        return _find_by_name(ioctx, proven[0])
    if found:
        raise ImageTaken(
            f"{image_label(ioctx, sought.name)} does not exist, and {first_names(tuple(found))} in the same place names the same "
            "owner. If that is the image under another name, give it its own back (rbd rename); if it is a copy, take "
            f"the metadata {well_known.OWNER} off it (rbd image-meta remove)"
        )
    return None


def _claimants_of(ioctx: Any, sought: ImageQuery) -> list[tuple[str, bool | None]]:
    return list_claimants(ioctx, sought.kubernetes).get(sought.owner, [])


def list_claimants(ioctx: Any, kubernetes: str) -> dict[str, list[tuple[str, bool | None]]]:
    """By the owner that they name, the names of all images there, each with whether it has the ids that it names."""
    after, pool = "", ioctx.get_pool_id()
    found: dict[str, list[tuple[str, bool | None]]] = {}
    while page := directory.list_page(ioctx, "", after, _PAGE_SIZE, count_used=False):
        for entry in page:
            said = entry.header.metadata if entry.header is not None else {}
            if well_known.OWNER in said and said.get(well_known.KUBERNETES) in {None, kubernetes}:
                found.setdefault(said[well_known.OWNER], []).append((entry.name, has_own_ids(said, pool, entry.id)))
        after = page[-1].name
    return found


def has_image(ioctx: Any, sought: ImageQuery) -> bool:
    """Whether the image is in this pool at all; cheap, and needs no directory, which not every pool can have."""
    with contextlib.suppress(ImageMissing):
        return directory.has_header(ioctx, image_id(sought.kubernetes, sought.name)) or (
            describe(ioctx, sought.name).metadata.get(well_known.OWNER) == sought.owner
        )
    return False
