"""Settings of the REST API."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sutler.settings import Port, ProcessSettings, Seconds


class ApiSettings(ProcessSettings):
    """Serves pools and images over HTTPS, to whom Kubernetes or a token file lets in."""

    host: str = "0.0.0.0"  # noqa: S104 - that is what a service is for
    """Address to serve on."""

    port: Port = 8443
    """Port to serve on."""

    token_file: Path | None = None
    """File with a line token,user,role for each user; role is viewer, editor or admin. Kubernetes is not asked then."""

    tls_folder: Path | None = None
    """Folder with tls.crt and tls.key, read again when they change; an empty one gets a CA and a certificate of its
    own. Default: the Secret sutler-api-certificate in Sutler's own namespace."""

    tls_names: list[str] = Field(default_factory=list)
    """More host names for the service's own certificate, besides localhost and the Service's."""

    ceph_conf: str = Field(default_factory=lambda: os.environ.get("CEPH_CONF", ""))
    """Path of the ceph.conf. Default: CEPH_CONF, else Ceph's own places. CEPH_ARGS is obeyed, too."""

    ceph_user: str = "admin"
    """The Ceph user for images, without "client."."""

    pools_user: str | None = None
    """The Ceph user that may make and delete pools. Default: nobody may."""

    ceph_timeout: Seconds = 5.0
    """Seconds that an OSD or a monitor has for one operation; Ceph itself would wait for ever."""

    deadline: Seconds = 20.0
    """Seconds after which every request has its answer, 504 if nothing better."""

    threads: Annotated[int, Field(ge=2, le=256)] = 16
    """Calls to Ceph at a time; removing, flattening and rolling back have as many more."""
