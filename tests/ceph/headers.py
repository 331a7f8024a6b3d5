"""A header of a whole image, as librbd leaves it."""

from datetime import UTC, datetime

from provisioner.ceph.image_header import ImageHeader

WHOLE = ImageHeader(
    id="abc",
    size=1 << 20,
    features=(),
    order=22,
    created=datetime.fromtimestamp(0, UTC),
    stripe_unit=None,
    stripe_count=None,
    data_pool=None,
    snapshots=0,
    is_clone=False,
    map_usable=False,
    metadata={},
    version="v",
)
