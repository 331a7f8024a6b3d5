"""Decides whether the image of a volume is to be flattened. Pure: no I/O."""

from sutler import well_known
from sutler.typedefs import Json


def flattens(volume: Json) -> bool:
    """Whether the volume's annotation requests that, and a claim has the volume."""
    metadata = volume["metadata"]
    policy = (metadata.get("annotations") or {}).get(well_known.FLATTEN_POLICY)
    phase = (volume.get("status") or {}).get("phase")
    return policy == "async" and phase == "Bound" and "deletionTimestamp" not in metadata


def flattened_patch() -> Json:
    """Returns a merge patch that removes the request."""
    return {"metadata": {"annotations": {well_known.FLATTEN_POLICY: None}}}
