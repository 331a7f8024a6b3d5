"""Imports the two extension modules of Ceph, `rados` and `rbd`.

They come from the distribution, never from the package index, where these names do not belong to the Ceph project.
"""

from provisioner.ceph.errors import MissingBinding

try:
    import rados
    import rbd
except ImportError as error:
    raise MissingBinding(
        f"Python cannot import {error.name}: install the Debian or Ubuntu packages python3-rados and python3-rbd, "
        "and run Sutler with the python3 that they are built for"
    ) from error

__all__ = ["rados", "rbd"]
