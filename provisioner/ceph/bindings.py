"""The two extension modules, in one place.

They come from the distribution, never from the package index: nobody of Ceph's owns those names there.
"""

from provisioner.ceph.errors import MissingBinding

try:
    import rados
    import rbd
except ImportError as error:
    raise MissingBinding(
        f"Python can't import {error.name}: install the Debian or Ubuntu packages python3-rados and python3-rbd, "
        "and run Sutler with the python3 they are built for"
    ) from error

__all__ = ["rados", "rbd"]
