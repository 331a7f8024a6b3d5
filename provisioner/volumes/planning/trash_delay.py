"""Whether and for how long a deleted image can be restored from the trash. Pure: no I/O."""

from collections.abc import Mapping

from provisioner.volumes.planning.parameter_values import duration
from sutler import well_known

DELETION_POLICIES = ("remove", "trash")
DEFAULT_TRASH_DELAY = 24 * 3600
"""Seconds for which an image in the trash can be restored, by default."""
_DIGITS = 18
"""The most digits of a delay in seconds: librbd stores 64 bits."""


def parse_trash_delay(annotations: Mapping[str, str]) -> int | None:
    """Returns the seconds by the annotations of a volume; None: remove the image without the trash.

    Raises:
        ValueError: for annotations that are not understood.
    """
    policy = annotations.get(well_known.DELETION_POLICY, "remove")
    if policy not in DELETION_POLICIES:
        raise ValueError(
            f"{well_known.DELETION_POLICY}: {policy!r} is not one of {', '.join(DELETION_POLICIES)}: write one"
        )
    if policy == "remove":
        return None
    text = annotations.get(well_known.TRASH_DELAY, str(DEFAULT_TRASH_DELAY))
    # Sutler writes seconds, which can have more digits than `duration` accepts from people.
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
        return int(text)
    try:
        return duration(text)
    except ValueError as error:
        raise ValueError(f"{well_known.TRASH_DELAY}: {error}") from None
