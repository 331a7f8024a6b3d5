"""Settings of `python -m provisioner secrets`."""

from typing import Annotated

from pydantic import Field

from sutler.settings import LeaderElectionSettings, Seconds


class SecretsSettings(LeaderElectionSettings):
    """Copies pull secrets into the namespaces that mappings select, and keeps the copies current."""

    workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Copies written at the same time. More of them rotate a Secret faster and load the API server more."""

    unused_copies_after: Seconds = 86_400.0
    """Seconds without a Pod that names it, after which Sutler deletes a copy on demand. Choose more than the interval
    of CronJobs, or their copies are created again each time."""
