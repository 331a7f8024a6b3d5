"""Prepares a pool for its images and applies Ceph's defaults to a new image, as librbd's create does.

- The first image makes the pool one for snapshots of images: from then on Ceph rejects snapshots of the whole pool
  (`ceph osd pool mksnap`), after which images could never have any.
- An image without a data pool or striping of its own gets those of the configuration: ceph.conf, the monitors'
  configuration, or the pool's.
"""

import contextlib
import errno
from dataclasses import dataclass, replace
from typing import Any

from provisioner.ceph import images
from provisioner.ceph.bindings import rados, rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, Denied, InvalidArgument, NoSpace, pool_label, translated
from provisioner.ceph.model import ImageSpec

_LIBRBD = rbd.RBD()
_INFO = "rbd_info"
_VALIDATED = b"overwrite validated"
_DATA_POOL, _STRIPE_UNIT, _STRIPE_COUNT = "rbd_default_data_pool", "rbd_default_stripe_unit", "rbd_default_stripe_count"


@dataclass(frozen=True, slots=True)
class CreationDefaults:
    """What the configuration sets for new images; None: nothing."""

    data_pool: str | None = None
    stripe_unit: int | None = None
    stripe_count: int | None = None

    def apply(self, spec: ImageSpec, pool: str) -> ImageSpec:
        """The image with the defaults for what it does not specify. Pure: no I/O."""
        if spec.data_pool is None and self.data_pool not in {None, pool}:
            spec = replace(spec, data_pool=self.data_pool)
        if spec.stripe_unit is None and self.stripe_unit and self.stripe_count:
            spec = replace(spec, stripe_unit=self.stripe_unit, stripe_count=self.stripe_count)
        return spec


def prepare_creation(connection: Connection, pool: str | int, namespace: str, spec: ImageSpec) -> tuple[Any, ImageSpec]:
    """The prepared pool and the image with its defaults. Raises InvalidArgument for a missing data pool."""
    # A user with caps for one RADOS namespace may not validate the whole pool; other users do.
    connection.prepared_ioctx(pool, "", validate_pool)
    ioctx = connection.prepared_ioctx(pool, namespace, images.create_trash_object)
    shaped = connection.cached(pool, namespace, read_defaults).apply(spec, pool_label(ioctx))
    if shaped.data_pool != spec.data_pool:
        try:
            connection.ioctx(str(shaped.data_pool))
        except CephError as error:
            raise InvalidArgument(
                f"the configuration sets {_DATA_POOL} = {shaped.data_pool} for images of pool {pool_label(ioctx)}: "
                f"{error}; create that pool, or change the option (ceph config, rbd config pool, ceph.conf)",
                code=errno.ENOENT,
            ) from error
    return ioctx, shaped


def validate_pool(ioctx: Any) -> None:
    """Prepares the pool as librbd does before its first image. Skips a full pool and one without permission."""
    name = pool_label(ioctx)
    with contextlib.suppress(Denied, NoSpace), translated("preparing", f"pool {name}"):
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.stat(_INFO)
            return
        try:
            snapshot = ioctx.create_self_managed_snap()
        except rados.InvalidArgumentError as error:
            raise InvalidArgument(
                f"pool {name} has had snapshots of the whole pool (ceph osd pool mksnap), so its images cannot have "
                "snapshots: choose another pool (EINVAL, 22)",
                code=errno.EINVAL,
            ) from error
        ioctx.remove_self_managed_snap(snapshot)
        ioctx.write_full(_INFO, _VALIDATED)


def read_defaults(ioctx: Any) -> CreationDefaults:
    """The defaults for this pool; none if the user may not read the pool's configuration, as for librbd."""
    try:
        with translated("reading the configuration of", f"pool {pool_label(ioctx)}"):
            options = {one["name"]: one["value"] for one in _LIBRBD.config_list(ioctx)}
    except Denied:
        return CreationDefaults()
    return CreationDefaults(
        data_pool=options.get(_DATA_POOL) or None,
        stripe_unit=int(options.get(_STRIPE_UNIT) or 0) or None,
        stripe_count=int(options.get(_STRIPE_COUNT) or 0) or None,
    )
