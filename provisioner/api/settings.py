"""The settings of `python -m provisioner api`."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sutler.settings import Port, ProcessSettings, Seconds


class ApiSettings(ProcessSettings):
    """Serves pools and images over HTTPS to users of Kubernetes or of a token file."""

    host: str = "0.0.0.0"  # noqa: S104 - a service listens on every address
    """Address to listen on."""

    port: Port = 8443
    """Port to listen on."""

    token_file: Path | None = None
    """File with a line token,user,role for each user; role is viewer, editor or admin. Replaces Kubernetes users."""

    tls_folder: Path | None = None
    """Folder with tls.crt and tls.key, read again when they change. In an empty folder, Sutler creates a CA and a
    certificate. Default: the Secret sutler-api-certificate in Sutler's own namespace."""

    tls_names: list[str] = Field(default_factory=list)
    """Additional host names for the certificate that Sutler issues, besides localhost and those of the Service."""

    ceph_conf: str = Field(default_factory=lambda: os.environ.get("CEPH_CONF", ""))
    """Path of the ceph.conf. Default: CEPH_CONF, else Ceph's default paths. CEPH_ARGS applies as well."""

    ceph_user: str = "admin"
    """The Ceph user for images, without "client."."""

    pools_user: str | None = None
    """The Ceph user that may create and delete pools. Default: none, and no pool can be changed."""

    ceph_timeout: Seconds = 5.0
    """Seconds that an OSD or a monitor has for one operation. Ceph's default is no time-out."""

    deadline: Seconds = 20.0
    """Seconds after which a request that is not complete is answered with 504."""

    threads: Annotated[int, Field(ge=2, le=256)] = 16
    """Calls to Ceph at a time. Removing, flattening and rolling back have as many in addition."""
