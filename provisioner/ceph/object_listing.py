"""Lists the objects of a pool, as blocking calls.

The binding ends the list silently at an error. A caller that relies on absent objects needs to know that the list is
complete.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.ceph.errors import CephUnavailable, Missing, pool_label, translated


@dataclass(frozen=True, slots=True)
class ObjectListing:
    """The objects of a pool in one RADOS namespace, or in all of them."""

    ioctx: Any
    timeout: float
    """Seconds after which an OSD operation fails."""

    def iterate(self) -> Iterator[Any]:
        """Every object, with `key` and `nspace`. Raises CephUnavailable if a placement group does not answer."""
        found = iter(self.ioctx.list_objects())
        target = f"the objects of pool {pool_label(self.ioctx)}"
        while True:
            requested = time.monotonic()
            with translated("listing", target):
                one = next(found, None)
            if one is None:
                break
            yield one
        # Ceph's clock for time-outs is coarse: it can fire some milliseconds early.
        if time.monotonic() - requested >= 0.95 * self.timeout:
            raise CephUnavailable(
                f"listing the objects of pool {pool_label(self.ioctx)}: a placement group does not answer"
            )
        # A read needs the same permissions, and fails if the client has been blocklisted.
        with contextlib.suppress(Missing), translated("listing", target):
            self.ioctx.stat("sutler")
