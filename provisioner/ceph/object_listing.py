"""Listing the objects of a pool, as blocking calls.

The binding takes every error for the end of the list. Who acts on what is not there needs to know that it was the end.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.ceph.errors import CephUnavailable, Missing, translated


@dataclass(frozen=True, slots=True)
class ObjectListing:
    """The objects of a pool in one RADOS namespace, or in all of them."""

    ioctx: Any
    timeout: float
    """Seconds after which an operation of an OSD fails."""

    def iterate(self) -> Iterator[Any]:
        """Every object, with `key` and `nspace`. Raises Unavailable when a placement group does not answer."""
        found = iter(self.ioctx.list_objects())
        target = f"the objects of pool {self.ioctx.get_pool_name()}"
        while True:
            requested = time.monotonic()
            with translated("listing", target):
                one = next(found, None)
            if one is None:
                break
            yield one
        # Ceph's clock for time-outs is coarse, and some milliseconds behind ours.
        if time.monotonic() - requested >= 0.95 * self.timeout:
            raise CephUnavailable(
                f"listing the objects of pool {self.ioctx.get_pool_name()}: a placement group does not answer"
            )
        # Needs the same rights, and a connection that is not cut off.
        with contextlib.suppress(Missing), translated("listing", target):
            self.ioctx.stat("sutler")
