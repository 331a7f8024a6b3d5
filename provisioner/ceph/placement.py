"""Where a new image goes, and that its pool is fit for it: what librbd's own create sees to, once for each pool.

- A pool is made for RBD's snapshots when its first image is made: after that Ceph refuses snapshots of the whole pool
  (`ceph osd pool mksnap`), which would make those of images impossible for ever.
- Data go to the data pool, and in the stripes, that the configuration has for images that ask for none: ceph.conf, the
  monitors' configuration, or the pool's own.
"""

import contextlib
import errno
from dataclasses import dataclass, replace
from typing import Any

from provisioner.ceph import images
from provisioner.ceph.bindings import rados, rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, Denied, InvalidArgument, NoSpace, translated
from provisioner.ceph.model import ImageSpec

_LIBRBD = rbd.RBD()
_INFO = "rbd_info"
_VALIDATED = b"overwrite validated"
_DATA_POOL, _STRIPE_UNIT, _STRIPE_COUNT = "rbd_default_data_pool", "rbd_default_stripe_unit", "rbd_default_stripe_count"


@dataclass(frozen=True, slots=True)
class CreationDefaults:
    data_pool: str | None = None
    stripe_unit: int | None = None
    stripe_count: int | None = None

    def apply(self, spec: ImageSpec, pool: str) -> ImageSpec:
        """The image as asked for, and as the configuration has it where it asks for nothing. Pure."""
        if spec.data_pool is None and self.data_pool not in {None, pool}:
            spec = replace(spec, data_pool=self.data_pool)
        if spec.stripe_unit is None and self.stripe_unit and self.stripe_count:
            spec = replace(spec, stripe_unit=self.stripe_unit, stripe_count=self.stripe_count)
        return spec


def prepare_creation(connection: Connection, pool: str | int, namespace: str, spec: ImageSpec) -> tuple[Any, ImageSpec]:
    """The pool, ready for images, and the image as it has to be made there. Raises BadRequest for a missing pool."""
    # Validation is a matter of the whole pool; a user of one RADOS namespace may not, and leaves it to others.
    connection.prepared_ioctx(pool, "", validate_pool)
    ioctx = connection.prepared_ioctx(pool, namespace, images.create_trash_object)
    shaped = connection.cached(pool, namespace, read_defaults).apply(spec, ioctx.get_pool_name())
    if shaped.data_pool != spec.data_pool:
        try:
            connection.ioctx(str(shaped.data_pool))
        except CephError as error:
            raise InvalidArgument(
                f"the configuration has {_DATA_POOL} = {shaped.data_pool} for images of pool {ioctx.get_pool_name()}: "
                f"{error}; make that pool, or change the option (ceph config, rbd config pool, ceph.conf)",
                code=errno.ENOENT,
            ) from error
    return ioctx, shaped


def validate_pool(ioctx: Any) -> None:
    """As librbd does before a pool's first image. Where the pool is full, or we may not, it is left as it is."""
    name = ioctx.get_pool_name()
    with contextlib.suppress(Denied, NoSpace), translated("preparing", f"pool {name}"):
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.stat(_INFO)
            return
        try:
            snapshot = ioctx.create_self_managed_snap()
        except rados.InvalidArgumentError as error:
            raise InvalidArgument(
                f"pool {name} has had snapshots of the whole pool (ceph osd pool mksnap), so that its images could "
                "have none: choose another pool (EINVAL, 22)",
                code=errno.EINVAL,
            ) from error
        ioctx.remove_self_managed_snap(snapshot)
        ioctx.write_full(_INFO, _VALIDATED)


def read_defaults(ioctx: Any) -> CreationDefaults:
    """Effective for this pool; none where its own configuration may not be read, as for librbd."""
    try:
        with translated("reading the configuration of", f"pool {ioctx.get_pool_name()}"):
            options = {one["name"]: one["value"] for one in _LIBRBD.config_list(ioctx)}
    except Denied:
        return CreationDefaults()
    return CreationDefaults(
        data_pool=options.get(_DATA_POOL) or None,
        stripe_unit=int(options.get(_STRIPE_UNIT) or 0) or None,
        stripe_count=int(options.get(_STRIPE_COUNT) or 0) or None,
    )
